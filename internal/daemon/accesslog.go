package daemon

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"ostor/internal/fault"
)

// reopenCheck is how often a log file is looked for under its name.
const reopenCheck = time.Second

// logFile is a file that is appended to and that may be moved away: within a second a new one is made under its name, so logrotate needs no signal.
type logFile struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	f       *os.File
	checked time.Time
}

func openLogFile(path string) (*logFile, error) {
	l := &logFile{path: path, now: time.Now}
	if err := l.open(); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "open the access log; choose another file with --access-log")
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if l.f != nil {
		_ = l.f.Close() // what was written went out with each Write
	}
	l.f, l.checked = f, l.now()
	return nil
}

// Write appends one record. When no new file can be made the old one is written on.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.checked) >= reopenCheck {
		l.checked = now
		there, err := os.Stat(l.path)
		ours, ferr := l.f.Stat()
		if err != nil || ferr != nil || !os.SameFile(there, ours) {
			_ = l.open()
		}
	}
	return l.f.Write(p)
}

// Close ends it.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// accessLog returns the logger of --access-log, nil for none, and what to close after the last request.
func (c *Config) accessLog() (*slog.Logger, io.Closer, error) {
	var w io.Writer
	closer := io.Closer(io.NopCloser(nil))
	switch c.AccessLog {
	case "":
		return nil, closer, nil
	case "-":
		w = os.Stderr
	default:
		f, err := openLogFile(c.AccessLog)
		if err != nil {
			return nil, nil, err
		}
		w, closer = f, f
	}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, nil)), closer, nil
	}
	return slog.New(slog.NewTextHandler(w, nil)), closer, nil
}
