package daemon

import (
	"io"
	"log/slog"

	"ostor/internal/fault"
)

// Logger returns the logger that the configuration asks for, writing to w.
func (c *Config) Logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

func (c *Config) level() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(c.Log)); err != nil {
		return level, fault.New(fault.Invalid, "--log is %q: want debug, info, warn or error", c.Log)
	}
	return level, nil
}
