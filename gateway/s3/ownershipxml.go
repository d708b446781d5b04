package s3

import "encoding/xml"

// OwnershipControls is the document of a bucket's ownership controls: exactly one rule.
type OwnershipControls struct {
	XMLName xml.Name `xml:"OwnershipControls"`
	Rules   []struct {
		ObjectOwnership string `xml:"ObjectOwnership"`
	} `xml:"Rule"`
}

// WriteOwnershipControls writes the reply of GetBucketOwnershipControls.
func WriteOwnershipControls(x *XML, ownership string) {
	x.Begin("OwnershipControls")
	x.Open("Rule")
	x.Text("ObjectOwnership", ownership)
	x.Close("Rule")
	x.Close("OwnershipControls")
}

// PublicAccessBlock is the document of a bucket's public access block; a setting that is not there is off.
type PublicAccessBlock struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicACLs       bool     `xml:"BlockPublicAcls"`
	IgnorePublicACLs      bool     `xml:"IgnorePublicAcls"`
	BlockPublicPolicy     bool     `xml:"BlockPublicPolicy"`
	RestrictPublicBuckets bool     `xml:"RestrictPublicBuckets"`
}

// Write writes the document.
func (p *PublicAccessBlock) Write(x *XML) {
	x.Begin("PublicAccessBlockConfiguration")
	x.Bool("BlockPublicAcls", p.BlockPublicACLs)
	x.Bool("IgnorePublicAcls", p.IgnorePublicACLs)
	x.Bool("BlockPublicPolicy", p.BlockPublicPolicy)
	x.Bool("RestrictPublicBuckets", p.RestrictPublicBuckets)
	x.Close("PublicAccessBlockConfiguration")
}
