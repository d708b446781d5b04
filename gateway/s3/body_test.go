package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// put makes a request with a body of text and the given headers, as net/http hands it to a server.
func put(text string, headers ...string) *http.Request {
	r := &http.Request{Method: "PUT", Header: http.Header{}, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestBody(t *testing.T) {
	t.Parallel()
	const text = "Welcome to Amazon S3."
	const shaText = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	sum := md5.Sum([]byte(text))
	crc := SumChecksum(ChecksumCRC32, []byte(text)).Text(0)
	chunked := func(text, trailer string) string {
		return fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n", len(text), text, trailer)
	}
	tests := []struct {
		name    string
		body    string
		headers []string
		want    error // of OpenBody or of reading; nil: good
	}{
		{"plain", text, nil, nil},
		{"empty", "", nil, nil},
		{"empty with its hash", "", []string{"X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, nil},
		{"empty with another hash", "", []string{"X-Amz-Content-Sha256", shaText}, ErrXAmzContentSHA256Mismatch},
		{"empty with another MD5", "", []string{"Content-Md5", b64(sum[:])}, ErrBadDigest},
		{"unsigned", text, []string{"X-Amz-Content-Sha256", UnsignedPayload}, nil},
		{"sha256", text, []string{"X-Amz-Content-Sha256", shaText}, nil},
		{"sha256 of another", text + "x", []string{"X-Amz-Content-Sha256", shaText}, ErrXAmzContentSHA256Mismatch},
		{"sha256 malformed", text, []string{"X-Amz-Content-Sha256", shaText[1:]}, ErrInvalidArgument},
		{"sha256 not hex", text, []string{"X-Amz-Content-Sha256", "z" + shaText[1:]}, ErrInvalidArgument},
		{"MD5", text, []string{"Content-Md5", b64(sum[:])}, nil},
		{"MD5 of another", text + "x", []string{"Content-Md5", b64(sum[:])}, ErrBadDigest},
		{"MD5 in hex", text, []string{"Content-Md5", hex.EncodeToString(sum[:])}, ErrInvalidDigest},
		{"MD5 short", text, []string{"Content-Md5", b64(sum[:15])}, ErrInvalidDigest},
		{"MD5 empty", text, []string{"Content-Md5", ""}, ErrInvalidDigest},
		{"MD5 twice", text, []string{"Content-Md5", b64(sum[:]), "Content-Md5", b64(sum[:])}, ErrInvalidDigest},
		{"checksum", text, []string{"X-Amz-Checksum-Crc32", crc}, nil},
		{"checksum and its name", text, []string{"X-Amz-Checksum-Crc32", crc, "X-Amz-Sdk-Checksum-Algorithm", "CRC32"}, nil},
		{"checksum and another name", text, []string{"X-Amz-Checksum-Crc32", crc, "X-Amz-Sdk-Checksum-Algorithm", "SHA1"}, ErrInvalidRequest},
		{"checksum's name only", text, []string{"X-Amz-Sdk-Checksum-Algorithm", "CRC32"}, ErrInvalidRequest},
		{"checksum's name unknown", text, []string{"X-Amz-Sdk-Checksum-Algorithm", "CRC33"}, ErrInvalidRequest},
		{"checksum of another", text + "x", []string{"X-Amz-Checksum-Crc32", crc}, ErrBadDigest},
		{"checksum malformed", text, []string{"X-Amz-Checksum-Crc32", "????"}, ErrBadDigest},
		{"checksum short", text, []string{"X-Amz-Checksum-Crc32", "AAAA"}, ErrBadDigest},
		{"checksum composite", text, []string{"X-Amz-Checksum-Crc32", crc + "-1"}, ErrBadDigest},
		{"checksum empty", text, []string{"X-Amz-Checksum-Crc32", ""}, ErrBadDigest},
		{"checksum unknown", text, []string{"X-Amz-Checksum-Crc33", "AAAAAA=="}, ErrInvalidRequest},
		{"two checksums", text, []string{"X-Amz-Checksum-Crc32", crc, "X-Amz-Checksum-Sha1", SumChecksum(ChecksumSHA1, []byte(text)).Text(0)}, ErrInvalidRequest},
		{"a checksum twice", text, []string{"X-Amz-Checksum-Crc32", crc, "X-Amz-Checksum-Crc32", crc}, ErrInvalidRequest},
		{"checksum requests that are no values", text, []string{"X-Amz-Checksum-Mode", "ENABLED", "X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "FULL_OBJECT"}, nil},
		{"trailer without one", text, []string{"X-Amz-Trailer", "x-amz-checksum-crc32"}, ErrInvalidRequest},
		{"signed chunks by nobody", "0\r\n\r\n", []string{"X-Amz-Content-Sha256", StreamingPayload, "X-Amz-Decoded-Content-Length", "0"}, ErrInvalidRequest},
		{"signed chunks of SigV4A", "", []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, ErrNotImplemented},
		{"too large", strings.Repeat("x", 1<<20+1), nil, ErrEntityTooLarge},

		{"trailer", chunked(text, "x-amz-checksum-crc32:"+crc+"\r\n"), unsigned("21"), nil},
		{"trailer in capitals and with space", chunked(text, "X-Amz-Checksum-CRC32: "+crc+"\t\r\n"), unsigned("21"), nil},
		{"trailer of another", chunked(text, "x-amz-checksum-crc32:AAAAAA==\r\n"), unsigned("21"), ErrBadDigest},
		{"trailer malformed", chunked(text, "x-amz-checksum-crc32:AAAA\r\n"), unsigned("21"), ErrBadDigest},
		{"trailer absent", chunked(text, ""), unsigned("21"), ErrMalformedTrailer},
		{"trailer without colon", chunked(text, "x-amz-checksum-crc32\r\n"), unsigned("21"), ErrMalformedTrailer},
		{"trailer not announced", chunked(text, "x-amz-checksum-sha1:AAAAAA==\r\n"), unsigned("21"), ErrMalformedTrailer},
		{"trailer with a signature of nobody", chunked(text, "x-amz-checksum-crc32:"+crc+"\r\nx-amz-trailer-signature:"+strings.Repeat("0", 64)+"\r\n"), unsigned("21"), ErrMalformedTrailer},
		{"trailer too long", chunked(text, "x-amz-checksum-crc32:"+strings.Repeat("A", 300)+"\r\n"), unsigned("21"), ErrInvalidRequest},
		{"no announcement", chunked(text, ""), unsigned("21")[:4], ErrMalformedTrailer},
		{"announcement of metadata", chunked(text, ""), append(unsigned("21")[:4:4], "X-Amz-Trailer", "x-amz-meta-a"), ErrInvalidRequest},
		{"announcement and header", chunked(text, ""), append(unsigned("21"), "X-Amz-Checksum-Crc32", crc), ErrInvalidRequest},
		{"decoded length absent", chunked(text, ""), unsigned("21")[:2], ErrMissingContentLength},
		{"decoded length too small", chunked(text, "x-amz-checksum-crc32:"+crc+"\r\n"), unsigned("20"), ErrInvalidRequest},
		{"decoded length too large", chunked(text, "x-amz-checksum-crc32:"+crc+"\r\n"), unsigned("22"), ErrIncompleteBody},
		{"decoded length larger than the encoded", chunked(text, ""), unsigned("21000"), ErrInvalidArgument},
		{"decoded length negative", chunked(text, ""), unsigned("-1"), ErrInvalidArgument},
		{"decoded length signed", chunked(text, ""), unsigned("+21"), ErrInvalidArgument},
		{"decoded length overflows", chunked(text, ""), unsigned("99999999999999999999"), ErrInvalidArgument},
		{"decoded length twice", chunked(text, ""), append(unsigned("21"), "X-Amz-Decoded-Content-Length", "21"), ErrInvalidArgument},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, err := OpenBody(put(tc.body, tc.headers...), nil, 1<<20)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(b)
			}
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("read %q, error %v, want %v", got, err, tc.want)
			}
			if err != nil {
				if b != nil {
					if _, again := b.Read(make([]byte, 1)); !errors.Is(again, tc.want) {
						t.Errorf("the next Read returned %v, want the same error", again)
					}
				}
				return
			}
			if n := b.Size(); n != int64(len(got)) || b.ETag() != hexMD5(got) {
				t.Errorf("size %d, ETag %s for %q", n, b.ETag(), got)
			}
		})
	}
}

// unsigned returns the headers of a STREAMING-UNSIGNED-PAYLOAD-TRAILER request.
func unsigned(decoded string) []string {
	return []string{"X-Amz-Content-Sha256", StreamingUnsigned, "X-Amz-Decoded-Content-Length", decoded, "X-Amz-Trailer", "x-amz-checksum-crc32"}
}

func hexMD5(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// TestChunkGrammar: what could be read in two ways is refused.
func TestChunkGrammar(t *testing.T) {
	t.Parallel()
	end := "\r\n0\r\nx-amz-checksum-crc32:" + SumChecksum(ChecksumCRC32, []byte("0123456789")).Text(0) + "\r\n\r\n"
	for _, tc := range []struct {
		name, body string
		ok         bool
	}{
		{"one chunk", "a\r\n0123456789" + end, true},
		{"capitals", "A\r\n0123456789" + end, true},
		{"two chunks", "4\r\n0123\r\n6\r\n456789" + end, true},
		{"leading zero", "0a\r\n0123456789" + end, false},
		{"two zeros", "a\r\n0123456789" + strings.Replace(end, "\n0\r", "\n00\r", 1), false},
		{"0x", "0xa\r\n0123456789" + end, false},
		{"plus", "+a\r\n0123456789" + end, false},
		{"minus", "-a\r\n0123456789" + end, false},
		{"space before", " a\r\n0123456789" + end, false},
		{"space behind", "a \r\n0123456789" + end, false},
		{"empty size", "\r\n0123456789" + end, false},
		{"overflow", "10000000000000000a\r\n0123456789" + end, false},
		{"overflow to negative", "ffffffffffffffff\r\n0123456789" + end, false},
		{"60 bits", "fffffffffffffff\r\n0123456789" + end, false},
		{"extension", "a;foo=bar\r\n0123456789" + end, false},
		{"signature where there is none", "a;chunk-signature=" + strings.Repeat("0", 64) + "\r\n0123456789" + end, false},
		{"bare LF behind the size", "a\n0123456789" + end, false},
		{"bare CR behind the size", "a\r0123456789" + end, false},
		{"LF CR LF behind the size", "a\n\r\n0123456789" + end, false},
		{"bare LF behind the data", "a\r\n0123456789" + strings.Replace(end, "\r\n", "\n", 1), false},
		{"data longer than the size", "9\r\n0123456789" + end, false},
		{"data shorter than the size", "b\r\n0123456789" + end, false},
		{"no end", "a\r\n0123456789\r\n", false},
		{"end without empty line", "a\r\n0123456789" + end[:len(end)-2], false},
		{"junk behind the end", "a\r\n0123456789" + end + "junk", false},
		{"a second body behind the end", "a\r\n0123456789" + end + "a\r\n0123456789" + end, false},
		{"line without end", strings.Repeat("a", 10000), false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, src := range []struct {
				name string
				r    io.Reader
			}{{"whole", strings.NewReader(tc.body)}, {"byte by byte", iotest.OneByteReader(strings.NewReader(tc.body))}, {"with the last bytes", iotest.DataErrReader(strings.NewReader(tc.body))}} {
				b := NewBody(src.r, BodyOptions{Size: 10, Payload: PayloadUnsignedTrailer, Trailer: ChecksumCRC32})
				got, err := io.ReadAll(b)
				if tc.ok != (err == nil) || tc.ok && string(got) != "0123456789" {
					t.Errorf("%s: got %q, %v", src.name, got, err)
				}
				if err != nil && !errors.Is(err, ErrInvalidRequest) && !errors.Is(err, ErrIncompleteBody) {
					t.Errorf("%s: %v is no error of a body", src.name, err)
				}
			}
		})
	}
}

// TestBodyCut: a body that ends early, fails or stalls never reaches io.EOF, and says why.
func TestBodyCut(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, tc := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"short", strings.NewReader("12345"), ErrIncompleteBody},
		{"cut by net/http", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(io.ErrUnexpectedEOF)), ErrIncompleteBody},
		{"broken", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)), ErrIncompleteBody},
		{"broken, the cause", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)), broken},
		{"too slow", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(os.ErrDeadlineExceeded)), ErrRequestTimeout},
	} {
		b := NewBody(tc.src, BodyOptions{Size: 10})
		if got, err := b.ReadAll(make([]byte, 10)); !errors.Is(err, tc.want) || got != nil {
			t.Errorf("%s: got %q, %v, want %v", tc.name, got, err, tc.want)
		}
	}
	// What comes behind the announced length is not the body's.
	b := NewBody(strings.NewReader("1234567890next"), BodyOptions{Size: 10})
	if got, err := io.ReadAll(b); err != nil || string(got) != "1234567890" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestBodyProperty: any content through any coding, cut into any pieces, comes out whole with the right digests; any flipped byte of it is found.
func TestBodyProperty(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range 400 {
		text := make([]byte, rnd.IntN(10000))
		for j := range text {
			text[j] = byte(rnd.Uint32())
		}
		a := ChecksumAlgorithm(rnd.IntN(int(ChecksumSHA256) + 1))
		sum := SumChecksum(a, text)
		o := BodyOptions{Size: int64(len(text))}
		wire := text
		if a != ChecksumNone && rnd.IntN(2) == 0 {
			o.Payload, o.Trailer = PayloadUnsignedTrailer, a
			wire = encodeChunks(rnd, text, a.Header()+":"+sum.Text(0)+"\r\n")
		} else {
			o.Checksum = sum
			digest := md5.Sum(text)
			o.MD5 = digest[:]
		}
		b := NewBody(&pieces{rnd: rnd, b: wire}, o)
		got, err := b.ReadAll(make([]byte, 0, len(text)+1))
		if err != nil || !bytes.Equal(got, text) || b.ETag() != hexMD5(text) || !bytes.Equal(b.Checksum().Value, sum.Value) {
			t.Fatalf("SEED=%d, round %d: %d bytes with %v: %v", seed, i, len(text), a, err)
		}
		if len(wire) == 0 {
			continue
		}
		bent := bytes.Clone(wire)
		bent[rnd.IntN(len(bent))] ^= 1 << rnd.IntN(8)
		b = NewBody(&pieces{rnd: rnd, b: bent}, o)
		if got, err := b.ReadAll(make([]byte, 0, len(text)+1)); err == nil && !bytes.Equal(got, text) {
			t.Fatalf("SEED=%d, round %d: a flipped bit in %d bytes with %v was not found", seed, i, len(text), a)
		}
	}
}

func encodeChunks(rnd *rand.Rand, text []byte, trailer string) []byte {
	var b bytes.Buffer
	for len(text) > 0 {
		n := 1 + rnd.IntN(len(text))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	b.WriteString("0\r\n" + trailer + "\r\n")
	return b.Bytes()
}

// pieces delivers b in pieces of random length.
type pieces struct {
	rnd *rand.Rand
	b   []byte
}

func (p *pieces) Read(q []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(q, p.b[:1+p.rnd.IntN(len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

func TestCompute(t *testing.T) {
	t.Parallel()
	b := NewBody(strings.NewReader("x"), BodyOptions{Size: 1})
	if err := b.Compute(ChecksumSHA256); err != nil || b.Digested() {
		t.Fatal(err)
	}
	if _, err := b.ReadAll(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Checksum().Text(0), SumChecksum(ChecksumSHA256, []byte("x")).Text(0); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b = NewBody(strings.NewReader("x"), BodyOptions{Size: 1, Checksum: SumChecksum(ChecksumCRC32, []byte("x"))})
	if !b.Digested() || b.Compute(ChecksumCRC32) != nil || !errors.Is(b.Compute(ChecksumSHA1), ErrInvalidRequest) {
		t.Error("Compute does not respect what the client gave")
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{{"gzip", "", "gzip"}, {"aws-chunked", "", ""}, {"aws-chunked,gzip", "", "gzip"}, {"gzip, aws-chunked", "", "gzip"}, {"aws-chunked", "br", "br"}, {"", "", ""}} {
		h := http.Header{}
		for _, v := range tc[:2] {
			if v != "" {
				h.Add("Content-Encoding", v)
			}
		}
		if got := ContentEncoding(h); got != tc[2] {
			t.Errorf("%q: got %q, want %q", tc[:2], got, tc[2])
		}
	}
}

// trusting is a chain in which every signature is right, so that fuzzing reaches what stands behind it.
type trusting struct{}

func (trusting) VerifyChunk(*[sha256.Size]byte, []byte) bool   { return true }
func (trusting) VerifyTrailer(*[sha256.Size]byte, []byte) bool { return true }

// FuzzChunks reads any bytes in every form of aws-chunked: what is accepted has the length and the checksum that were announced, and another way of reading gives the same.
func FuzzChunks(f *testing.F) {
	sig := ";chunk-signature=" + strings.Repeat("0", 64)
	modes := []PayloadMode{PayloadUnsignedTrailer, PayloadChunked, PayloadChunkedTrailer}
	f.Add([]byte("a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:poTDaQ==\r\n\r\n"), int64(10), 7, byte(0))
	f.Add([]byte("ffffffffffffffff\r\n"), int64(-1), 1, byte(0))
	f.Add([]byte("0\r\n\r\n"), int64(0), 4096, byte(0))
	f.Add([]byte("a"+sig+"\r\n0123456789\r\n0"+sig+"\r\n\r\n"), int64(10), 7, byte(1))
	f.Add([]byte("4"+sig+"\r\n0123\r\n6"+sig+"\r\n456789\r\n0"+sig+"\r\nx-amz-checksum-crc32:poTDaQ==\n\r\nx-amz-trailer-signature:"+strings.Repeat("0", 64)+"\r\n\r\n"), int64(10), 1, byte(2))
	f.Fuzz(func(t *testing.T, wire []byte, size int64, piece int, mode byte) {
		if size < 0 || size > 1<<20 || piece < 1 || piece > 1<<16 {
			t.Skip()
		}
		o := BodyOptions{Size: size, Payload: modes[int(mode)%len(modes)]}
		if o.Payload.Trailing() {
			o.Trailer = ChecksumCRC32
		}
		if o.Payload != PayloadUnsignedTrailer {
			o.Chunks = trusting{}
		}
		read := func(src io.Reader, piece int) ([]byte, *Body, error) {
			b := NewBody(src, o)
			var got []byte
			buf := make([]byte, piece)
			for {
				n, err := b.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					return got, b, err
				}
			}
		}
		got, b, err := read(bytes.NewReader(wire), piece)
		other, _, err2 := read(iotest.HalfReader(bytes.NewReader(wire)), 4096)
		if (err == io.EOF) != (err2 == io.EOF) {
			t.Fatalf("in pieces of %d: %v; at once: %v", piece, err, err2)
		}
		if err != io.EOF {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%v is not an S3 error", err)
			}
			return
		}
		if int64(len(got)) != size || !bytes.Equal(got, other) {
			t.Fatalf("accepted %d bytes and %d for %d", len(got), len(other), size)
		}
		if o.Trailer != ChecksumNone && b.Checksum().Text(0) != SumChecksum(ChecksumCRC32, got).Text(0) {
			t.Fatalf("accepted %q with another checksum", got)
		}
	})
}

func benchmarkBody(b *testing.B, size int, o BodyOptions) {
	text := make([]byte, size)
	o.Size = int64(size)
	buf := make([]byte, min(size, 1<<20))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	r := bytes.NewReader(text)
	for b.Loop() {
		r.Reset(text)
		body := NewBody(r, o)
		for {
			if _, err := body.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkBody4KiB(b *testing.B)  { benchmarkBody(b, 4<<10, BodyOptions{}) }
func BenchmarkBody16MiB(b *testing.B) { benchmarkBody(b, 16<<20, BodyOptions{}) }
func BenchmarkBody4KiBCRC64(b *testing.B) {
	benchmarkBody(b, 4<<10, BodyOptions{Checksum: SumChecksum(ChecksumCRC64NVME, make([]byte, 4<<10))})
}
