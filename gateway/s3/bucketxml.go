package s3

import "time"

// ListedBucket is one bucket of ListBuckets.
type ListedBucket struct {
	Name    string
	Created time.Time
	Region  string // "" = left out
}

// ListBucketsResult is the reply of ListBuckets.
type ListBucketsResult struct {
	Owner     Owner
	Buckets   []ListedBucket // sorted by name
	Prefix    string         // as asked; "" = left out
	NextToken string         // "" = this is the last page
}

// Write writes the document.
func (r *ListBucketsResult) Write(x *XML) {
	x.Begin("ListAllMyBucketsResult")
	x.Owner("Owner", r.Owner)
	x.Open("Buckets")
	for i := range r.Buckets {
		b := &r.Buckets[i]
		x.Open("Bucket")
		x.Text("Name", b.Name)
		x.Time("CreationDate", b.Created)
		x.Optional("BucketRegion", b.Region)
		x.Close("Bucket")
	}
	x.Close("Buckets")
	x.Optional("ContinuationToken", r.NextToken)
	x.Optional("Prefix", r.Prefix)
	x.Close("ListAllMyBucketsResult")
}

// CreateBucketConfiguration is the request body of CreateBucket. Location, Bucket and Tags are there so that what this server does not have is
// seen and refused.
type CreateBucketConfiguration struct {
	LocationConstraint string    `xml:"LocationConstraint"`
	Location           *struct{} `xml:"Location"`
	Bucket             *struct{} `xml:"Bucket"`
	Tags               *struct {
		Tags []Tag `xml:"Tag"`
	} `xml:"Tags"`
}

// WriteLocation writes the reply of GetBucketLocation. The location of the default region us-east-1 is empty, as in S3.
func WriteLocation(x *XML, region string) {
	x.Begin("LocationConstraint")
	if region != "us-east-1" {
		x.b = appendText(x.b, region)
	}
	x.Close("LocationConstraint")
}

// WriteVersioning writes the reply of GetBucketVersioning; status is "", Enabled or Suspended.
func WriteVersioning(x *XML, status string) {
	x.Begin("VersioningConfiguration")
	x.Optional("Status", status)
	x.Close("VersioningConfiguration")
}
