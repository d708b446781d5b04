package s3

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const formStart = "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na\r\nb\r\n--b\r\nContent-Disposition: form-data; name=empty\r\nX: y\r\n\r\n\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d/x.txt\"\r\nContent-Type: a/b\r\n\r\n"

func openForm(body string, small int64) (*Form, error) {
	return OpenForm("multipart/form-data; boundary=b", int64(len(body)), iotest.HalfReader(strings.NewReader(body)), small)
}

// TestForm reads one form both ways, with files that nearly hold the delimiter.
func TestForm(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "x", "\r\n--", "\r\n-\r\n--a\r\n--", strings.Repeat("\r\n--\r\n--x", 9999)} {
		f, err := openForm(formStart+file+"\r\n--b--\r\n", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if f.Get("key") != "a\r\nb" || len(f.Fields) != 2 || f.FileName != "x.txt" || f.Size != -1 {
			t.Errorf("fields %q, file %q, size %d", f.Fields, f.FileName, f.Size)
		}
		if b, err := f.ReadFile(); err != nil || string(b) != file {
			t.Errorf("%d bytes of %d: %v", len(b), len(file), err)
		}
		if f, err = openForm(formStart+file+"\r\n--b--\r\n", -1); err != nil || f.Size != int64(len(file)) {
			t.Fatalf("size %d, %v", f.Size, err)
		}
		if b, err := io.ReadAll(f.File()); err != nil || string(b) != file {
			t.Errorf("streamed %d bytes of %d: %v", len(b), len(file), err)
		}
	}
	for _, end := range []string{"", "\r\n--b--", "\r\n--b--\r\nx", "\r\n--b\r\n\r\n--b--\r\n"} {
		f, err := openForm(formStart+"file"+end, -1)
		if err == nil {
			var b []byte
			if b, err = io.ReadAll(f.File()); err == nil {
				t.Errorf("end %q: %q", end, b)
			}
		}
	}
}

// FuzzForm: whatever the body, both ways end, agree when both succeed, and never give the delimiter out as content.
func FuzzForm(f *testing.F) {
	f.Add([]byte(formStart + "content\r\n--b--\r\n"))
	f.Add([]byte(formStart + "content\r\n--b\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--b--\r\n"))
	f.Add([]byte("--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, err := openForm(string(body), 1<<30)
		stream, err2 := openForm(string(body), -1)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%v, but %v", err, err2)
		}
		if err != nil || stream.Size < 0 {
			return
		}
		a, err := whole.ReadFile()
		b, err2 := io.ReadAll(stream.File())
		if err == nil && bytes.Contains(a, []byte("\r\n--b")) || err2 == nil && (err != nil || !bytes.Equal(a, b)) {
			t.Fatalf("%q, %v; %q, %v", a, err, b, err2)
		}
	})
}

func FuzzPostPolicy(f *testing.F) {
	f.Add("eyJleHBpcmF0aW9uIjogIjIwMzAtMDEtMDFUMDA6MDA6MDBaIiwgImNvbmRpdGlvbnMiOiBbWyJlcSIsICIka2V5IiwgImEiXV19")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePostPolicy(text, 100)
		if err == nil && (p.max > 100 || p.min < 0) {
			t.Fatalf("a range of %d to %d", p.min, p.max)
		}
	})
}
