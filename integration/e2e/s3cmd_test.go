package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// s3cmdAll uses what s3cmd can do, under one of its two ways to sign.
func s3cmdAll(t *testing.T, s *site, version string) {
	c := newS3cmd(t, s)
	if version == "2" {
		f, err := os.OpenFile(c.conf, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("signature_v2 = True\n"); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	bucket := "s3cmd-v" + version
	at := func(key string) string { return "s3://" + bucket + "/" + key }
	has := func(out, want string) {
		t.Helper()
		if !strings.Contains(out, want) {
			t.Errorf("s3cmd printed no %q in\n%s", want, out)
		}
	}
	dir := t.TempDir()
	small, large, back := filepath.Join(dir, "small ü+&.txt"), filepath.Join(dir, "large"), filepath.Join(dir, "back")
	body := bytes.Repeat([]byte("some text\n"), 2<<20)
	for name, b := range map[string][]byte{small: []byte("small"), large: body} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	same := func(want []byte) {
		t.Helper()
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back, want %d, %v", len(got), len(want), err)
		}
	}
	c.run(t, "mb", "s3://"+bucket)
	c.run(t, "put", "--quiet", "--add-header=x-amz-meta-colour:blue", "--mime-type=text/x-test", small, at("dir/small ü+&.txt"))
	c.run(t, "put", "--quiet", "--multipart-chunk-size-mb=5", large, at("large"))
	has(c.run(t, "ls", "s3://"+bucket+"/"), "DIR  s3://"+bucket+"/dir/")
	has(c.run(t, "la"), at("large"))
	info := c.run(t, "info", at("dir/small ü+&.txt"))
	has(info, "text/x-test")
	has(info, "colour")
	has(c.run(t, "info", "s3://"+bucket), "Location:")
	c.run(t, "get", "--force", "--quiet", at("large"), back)
	same(body)
	c.run(t, "cp", at("dir/small ü+&.txt"), at("copy"))
	c.run(t, "mv", at("copy"), at("moved"))
	c.run(t, "get", "--force", "--quiet", at("moved"), back)
	same([]byte("small"))
	c.run(t, "setacl", "--acl-public", at("moved"))
	if got := httpStatus(t, s.endpoint+"/"+bucket+"/moved"); got != 200 {
		t.Errorf("an object that s3cmd made public: status %d", got)
	}
	c.run(t, "setacl", "--acl-private", at("moved"))
	if got := httpStatus(t, s.endpoint+"/"+bucket+"/moved"); got != 403 {
		t.Errorf("an object that s3cmd made private: status %d", got)
	}
	c.run(t, "modify", "--add-header=Cache-Control:max-age=9", at("moved"))
	policy := filepath.Join(dir, "policy")
	if err := os.WriteFile(policy, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+bucket+`/dir/*"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(t, "setpolicy", policy, "s3://"+bucket)
	has(c.run(t, "info", "s3://"+bucket), "s3:GetObject")
	c.run(t, "delpolicy", "s3://"+bucket)
	has(c.run(t, "du", "s3://"+bucket), "3 objects")
	has(c.run(t, "multipart", "s3://"+bucket), "Initiated")
	c.run(t, "rm", "--recursive", "--force", "--quiet", "s3://"+bucket)
	if n := c.count(t, bucket, ""); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	c.run(t, "rb", "s3://"+bucket)
	if out, err := s.try(t, "s3cmd", "-c", c.conf, "ls", "s3://"+bucket); err == nil || !strings.Contains(out, "NoSuchBucket") {
		t.Errorf("listing a bucket that is gone: %v\n%s", err, out)
	}
}
