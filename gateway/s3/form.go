package s3

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/textproto"
	"strings"
)

// maxFormFields bounds what stands before the file in a form (POST Object: 20 KB).
const maxFormFields = 20 << 10

// Form is the beginning of a multipart/form-data request of POST Object: everything before the bytes of its file. Names are in lower case.
type Form struct {
	Fields   []FormField // in order, without the file
	FileName string      // of the file: without directories
	Size     int64       // bytes of the file, if Content-Length is right and nothing but the end of the form follows; -1 when it must be read to be known

	src   *bufio.Reader
	delim []byte // CRLF, two hyphens, boundary
	rest  int64  // bytes of the request from the beginning of the file
}

// FormField is a field of a form.
type FormField struct{ Name, Value string }

// Get returns a field's value, "" when it is not there; name is in lower case.
func (f *Form) Get(name string) string {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			return f.Fields[i].Value
		}
	}
	return ""
}

// OpenForm reads a form up to the first byte of its file. small is the number of bytes up to which the rest of the request is going to be read as a whole. Memory is bounded by
// maxFormFields. Errors: ErrRequestIsNotMultiPartContent, ErrMissingContentLength, ErrMalformedPOSTRequest, ErrMaxPostPreDataLengthExceeded, ErrIncorrectNumberOfFilesInPost,
// ErrInvalidArgument (a field given twice), and those of body.
func OpenForm(contentType string, length int64, body io.Reader, small int64) (*Form, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > 200 {
		return nil, ErrRequestIsNotMultiPartContent
	}
	if length < 0 {
		return nil, ErrMissingContentLength
	}
	counted := &countingReader{r: body}
	f := &Form{src: bufio.NewReader(counted), delim: []byte("\r\n--" + boundary)}
	line, err := f.line()
	for err == nil && line != string(f.delim[2:]) { // a preamble
		if line == string(f.delim[2:])+"--" {
			return nil, ErrIncorrectNumberOfFilesInPost
		}
		line, err = f.line()
	}
	for err == nil {
		var name string
		var file bool
		if name, file, err = f.partHeader(); err != nil {
			break
		}
		if file {
			f.rest = length - (counted.n - int64(f.src.Buffered()))
			if f.Size = f.rest - int64(len(f.delim)+4); f.rest <= small+int64(len(f.delim)+4) {
				f.Size = -1
			}
			if f.rest < int64(len(f.delim)+2) {
				return nil, ErrMalformedPOSTRequest
			}
			return f, nil
		}
		var value string
		var last bool
		if value, last, err = f.value(); err != nil {
			break
		}
		if err = f.add(name, value); err != nil {
			return nil, err
		}
		if last {
			return nil, ErrIncorrectNumberOfFilesInPost
		}
		if counted.n-int64(f.src.Buffered()) > maxFormFields {
			return nil, ErrMaxPostPreDataLengthExceeded
		}
	}
	if err == io.EOF {
		return nil, ErrMalformedPOSTRequest
	}
	return nil, err
}

// add notes a field. Metadata may come several times, and is one value with commas then ("HTML Form Fields"); any other field twice could mean one thing to the policy and another
// to the object.
func (f *Form) add(name, value string) error {
	for i := range f.Fields {
		if f.Fields[i].Name != name {
			continue
		}
		if !strings.HasPrefix(name, "x-amz-meta-") {
			return ErrInvalidArgument.With("The field " + name + " is given more than once.")
		}
		f.Fields[i].Value += "," + value
		return nil
	}
	f.Fields = append(f.Fields, FormField{name, value})
	return nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// line reads to the next CRLF or LF, which it leaves out. Lines are as long as the buffer at most.
func (f *Form) line() (string, error) {
	b, err := f.src.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", ErrMaxPostPreDataLengthExceeded
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

// partHeader reads the header of a part.
func (f *Form) partHeader() (name string, file bool, err error) {
	total := 0
	for {
		line, err := f.line()
		if err != nil {
			return "", false, err
		}
		if line == "" {
			break
		}
		if total += len(line); total > maxFormFields {
			return "", false, ErrMaxPostPreDataLengthExceeded
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return "", false, ErrMalformedPOSTRequest
		}
		if textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(key)) != "Content-Disposition" {
			continue
		}
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(value))
		if err != nil || kind != "form-data" {
			return "", false, ErrMalformedPOSTRequest
		}
		if name = strings.ToLower(params["name"]); name == "file" {
			f.FileName = params["filename"]
			if i := strings.LastIndexAny(f.FileName, `/\`); i >= 0 {
				f.FileName = f.FileName[i+1:]
			}
		}
	}
	if name == "" {
		return "", false, ErrMalformedPOSTRequest
	}
	return name, name == "file", nil
}

// value reads the content of a field and the line of the delimiter behind it, and reports whether that ends the form.
func (f *Form) value() (v string, last bool, err error) {
	// The delimiter may follow the header at once: an empty value.
	b := make([]byte, 0, 128)
	for {
		c, err := f.src.ReadByte()
		if err != nil {
			return "", false, err
		}
		if b = append(b, c); len(b) > maxFormFields {
			return "", false, ErrMaxPostPreDataLengthExceeded
		}
		if !bytes.HasSuffix(b, f.delim) {
			continue
		}
		rest, err := f.line()
		if err != nil {
			return "", false, err
		}
		if rest = strings.TrimRight(rest, " \t"); rest != "" && rest != "--" {
			return "", false, ErrMalformedPOSTRequest
		}
		return string(b[:len(b)-len(f.delim)]), rest == "--", nil
	}
}

// ReadFile reads the file of a form whose Size is -1. Fields behind the file are ignored.
func (f *Form) ReadFile() ([]byte, error) {
	b := make([]byte, f.rest)
	if _, err := io.ReadFull(f.src, b); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrIncompleteBody
		}
		return nil, err
	}
	i := bytes.Index(b, f.delim)
	if i < 0 || !endsLine(b[i+len(f.delim):]) {
		return nil, ErrMalformedPOSTRequest
	}
	return b[:i], nil
}

// endsLine reports whether a delimiter with rest behind it is one.
func endsLine(rest []byte) bool {
	return bytes.HasPrefix(rest, []byte("--")) || bytes.HasPrefix(rest, []byte("\r\n"))
}

// File returns the Size bytes of the file as a stream. It ends with io.EOF only when the form ends behind them; ErrMalformedPOSTRequest otherwise.
func (f *Form) File() io.Reader { return &formFile{f: f, left: f.Size} }

type formFile struct {
	f    *Form
	left int64
	tail []byte // the last bytes given out, shorter than the delimiter
	err  error
}

func (r *formFile) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.f.src.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.seen(p[:n]) {
		// A file that is as long as this must be the last field: its size was needed before its end was seen.
		r.err = ErrMalformedPOSTRequest.With("The file must be the last field of the form.")
		return 0, r.err
	}
	if err == io.EOF && (r.left > 0 || n == 0) {
		err = ErrIncompleteBody
	}
	switch {
	case err != nil && err != io.EOF:
		r.err = err
	case r.left == 0: // now: who has all bytes may not ask again
		r.err = r.end()
	}
	return n, r.err
}

// seen reports whether the delimiter ends within b, and keeps b's tail.
func (r *formFile) seen(b []byte) bool {
	keep := len(r.f.delim) - 1
	joined := append(r.tail, b[:min(len(b), keep)]...)
	if bytes.Contains(joined, r.f.delim) || bytes.Contains(b, r.f.delim) {
		return true
	}
	if len(b) >= keep {
		r.tail = append(r.tail[:0], b[len(b)-keep:]...)
	} else {
		r.tail = append(r.tail[:0], joined[max(0, len(joined)-keep):]...)
	}
	return false
}

// end checks what stands behind the file.
func (r *formFile) end() error {
	want := string(r.f.delim) + "--\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.f.src, got); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return ErrIncompleteBody
		}
		return err
	}
	if string(got) != want {
		return ErrMalformedPOSTRequest.With("The file must be the last field of the form, and its closing line must end with CRLF.")
	}
	return io.EOF
}
