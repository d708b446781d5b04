package cluster

import (
	"encoding/binary"
	"time"

	"ostor/internal/fault"
)

// Object lock. AttrRetention and AttrLegalHold are the attributes that a name server understands: it refuses, in the same transaction, to remove a version that they protect
// and to weaken a retention. Delete markers are never protected.

// Retention protects a version until a time. Governance gives way to callers that may bypass it; Compliance to nobody.
type Retention struct {
	Compliance bool
	Until      time.Time // UTC, millisecond precision
}

const (
	formatLock     = 1
	retentionBytes = 10 // format, mode (1 governance, 2 compliance), int64 milliseconds since 1970, little endian
)

// Encode returns the value of AttrRetention.
func (r Retention) Encode() []byte {
	b := []byte{formatLock, 1}
	if r.Compliance {
		b[1] = 2
	}
	return binary.LittleEndian.AppendUint64(b, uint64(r.Until.UnixMilli()))
}

// ParseRetention reads what Encode returned; fault.Corrupt for anything else.
func ParseRetention(b []byte) (Retention, error) {
	if len(b) != retentionBytes || b[0] != formatLock || b[1] != 1 && b[1] != 2 {
		return Retention{}, fault.New(fault.Corrupt, "a retention is malformed")
	}
	return Retention{b[1] == 2, time.UnixMilli(int64(binary.LittleEndian.Uint64(b[2:]))).UTC()}, nil
}

// EncodeLegalHold returns the value of AttrLegalHold: format, 1 on or 0 off.
func EncodeLegalHold(on bool) []byte {
	if on {
		return []byte{formatLock, 1}
	}
	return []byte{formatLock, 0}
}

// ParseLegalHold reads what EncodeLegalHold returned; fault.Corrupt for anything else.
func ParseLegalHold(b []byte) (on bool, err error) {
	if len(b) != 2 || b[0] != formatLock || b[1] > 1 {
		return false, fault.New(fault.Corrupt, "a legal hold is malformed")
	}
	return b[1] == 1, nil
}

// CheckRemoval returns fault.Denied when a version with these attributes may not be removed at time now.
func CheckRemoval(attrs []Attribute, now time.Time, bypass bool) error {
	for i := range attrs {
		switch attrs[i].ID {
		case AttrRetention:
			r, err := ParseRetention(attrs[i].Value)
			if err != nil {
				return err
			}
			if now.Before(r.Until) && (r.Compliance || !bypass) {
				return fault.New(fault.Denied, "the version is retained until %s", r.Until)
			}
		case AttrLegalHold:
			on, err := ParseLegalHold(attrs[i].Value)
			if err != nil {
				return err
			}
			if on {
				return fault.New(fault.Denied, "the version is under a legal hold")
			}
		}
	}
	return nil
}

// CheckRetention returns fault.Denied when set would weaken the retention in attrs at time now: end it sooner or change its mode. Without bypass nobody may; with it a governance
// retention may be changed at will. Values in set that are malformed are fault.Invalid.
func CheckRetention(attrs, set []Attribute, now time.Time, bypass bool) error {
	var wanted *Attribute
	for i := range set {
		var err error
		switch a := &set[i]; {
		case a.ID == AttrRetention:
			wanted = a
			if a.Value != nil {
				_, err = ParseRetention(a.Value)
			}
		case a.ID == AttrLegalHold && a.Value != nil:
			_, err = ParseLegalHold(a.Value)
		}
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "set an attribute")
		}
	}
	if wanted == nil {
		return nil
	}
	for i := range attrs {
		if attrs[i].ID != AttrRetention {
			continue
		}
		old, err := ParseRetention(attrs[i].Value)
		if err != nil {
			return err
		}
		if !now.Before(old.Until) || !old.Compliance && bypass {
			return nil
		}
		next, err := ParseRetention(wanted.Value) // nil is malformed: it removes the retention
		if err != nil || next.Compliance != old.Compliance || next.Until.Before(old.Until) {
			return fault.New(fault.Denied, "the version is retained until %s", old.Until)
		}
	}
	return nil
}
