package s3

import "time"

// LockConfiguration is the request body of PutObjectLockConfiguration.
type LockConfiguration struct {
	Enabled string `xml:"ObjectLockEnabled"`
	Rule    *struct {
		Default *DefaultRetention `xml:"DefaultRetention"`
	} `xml:"Rule"`
}

// DefaultRetention is what new versions of a bucket get: either days or years.
type DefaultRetention struct {
	Mode  string `xml:"Mode"`
	Days  *int64 `xml:"Days"`
	Years *int64 `xml:"Years"`
}

// Modes of a retention.
const (
	Governance = "GOVERNANCE"
	Compliance = "COMPLIANCE"
)

// maxRetentionDays is S3's bound of a default retention: a hundred years.
const maxRetentionDays = 36500

// Check returns ErrMalformedXML or ErrInvalidRetentionPeriod unless the configuration may be stored.
func (c *LockConfiguration) Check() error {
	if c.Enabled != "Enabled" {
		return ErrMalformedXML
	}
	if c.Rule == nil {
		return nil
	}
	d := c.Rule.Default
	if d == nil || d.Mode != Governance && d.Mode != Compliance || (d.Days == nil) == (d.Years == nil) {
		return ErrMalformedXML
	}
	if d.Days != nil && (*d.Days < 1 || *d.Days > maxRetentionDays) || d.Years != nil && (*d.Years < 1 || *d.Years > maxRetentionDays/365) {
		return ErrInvalidRetentionPeriod
	}
	return nil
}

// WriteLockConfiguration writes the reply of GetObjectLockConfiguration; d is nil when there is no default.
func WriteLockConfiguration(x *XML, d *DefaultRetention) {
	x.Begin("ObjectLockConfiguration")
	x.Text("ObjectLockEnabled", "Enabled")
	if d != nil {
		x.Open("Rule")
		x.Open("DefaultRetention")
		x.Text("Mode", d.Mode)
		if d.Days != nil {
			x.Int("Days", *d.Days)
		} else {
			x.Int("Years", *d.Years)
		}
		x.Close("DefaultRetention")
		x.Close("Rule")
	}
	x.Close("ObjectLockConfiguration")
}

// ObjectRetention is the body of PutObjectRetention; empty, it removes the retention.
type ObjectRetention struct {
	Mode  string `xml:"Mode"`
	Until string `xml:"RetainUntilDate"`
}

// WriteRetention writes the reply of GetObjectRetention.
func WriteRetention(x *XML, mode string, until time.Time) {
	x.Begin("Retention")
	x.Text("Mode", mode)
	x.Time("RetainUntilDate", until)
	x.Close("Retention")
}

// LegalHold is the body of PutObjectLegalHold.
type LegalHold struct {
	Status string `xml:"Status"`
}

// WriteLegalHold writes the reply of GetObjectLegalHold.
func WriteLegalHold(x *XML, status string) {
	x.Begin("LegalHold")
	x.Text("Status", status)
	x.Close("LegalHold")
}
