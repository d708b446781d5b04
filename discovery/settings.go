package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Keys of settings. Values are 0 (off) and 1 (on).
const (
	SettingDefaultCORS = "ostor.default_cors.enabled" // buckets without a CORS configuration allow pages of all origins
	SettingSigV2       = "ostor.sigv2.enabled"        // signature version 2 is accepted
)

// settingDefaults holds the settings that this program knows.
var settingDefaults = map[string]string{
	SettingDefaultCORS: "1",
	SettingSigV2:       "1",
}

// Limits of the settings.
const (
	maxSettings     = 256
	maxSettingBytes = 256 // of a key, and of a value
	keptSettings    = 3   // old epochs that stay, for who has listed them and is about to read
	settingsDir     = "control/settings"
	settingsMagic   = "ostor-settings 1"
)

// Settings are what an administrator sets for the cluster as a whole. A value is never changed: [PutSettings] publishes a new epoch, which every [Topology] follows.
type Settings struct {
	Epoch  cluster.Epoch     // counts from 1; 0 = nothing was ever set
	values map[string]string // what was set; also keys that only a newer program knows
}

// Setting is one of the settings.
type Setting struct{ Key, Value string }

// On reports whether a setting of this program is on.
func (s Settings) On(key string) bool { return s.value(key) == "1" }

func (s Settings) value(key string) string {
	if v, ok := s.values[key]; ok {
		return v
	}
	return settingDefaults[key]
}

// All returns all settings, those that were never set with their defaults, ascending by key.
func (s Settings) All() []Setting {
	keys := maps.Clone(settingDefaults)
	maps.Copy(keys, s.values)
	var all []Setting
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, Setting{k, keys[k]})
	}
	return all
}

// LoadSettings returns the newest settings, the defaults when nothing was ever set. An epoch that its writer did not finish is passed over. It returns fault.Corrupt when the newest
// finished one is damaged: older ones could allow what has been forbidden since.
func LoadSettings(fsys fsbackend.FS) (Settings, error) {
	epochs, err := settingsEpochs(fsys)
	if err != nil {
		return Settings{}, err
	}
	for _, e := range slices.Backward(epochs) {
		name := settingsDir + "/" + epochName(cluster.Epoch(e))
		b, err := readFile(fsys, name)
		if errors.Is(err, fault.NotFound) || err == nil && !finished(b) {
			continue
		}
		if err != nil {
			return Settings{}, fmt.Errorf("discovery: settings: %w", err)
		}
		s, err := DecodeSettings(b)
		if err == nil && uint64(s.Epoch) != e {
			err = fault.New(fault.Corrupt, "it is epoch %d", s.Epoch)
		}
		if err != nil {
			return Settings{}, fmt.Errorf("discovery: remove the file to return to the settings before it, then put yours again: %w", &fault.Corruption{File: name, What: "settings", Want: "valid settings", Got: err.Error()})
		}
		return s, nil
	}
	return Settings{}, nil
}

// finished reports whether the writer of a record wrote its last line.
func finished(b []byte) bool {
	last := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n')
	return bytes.HasSuffix(b, []byte("\n")) && bytes.HasPrefix(b[last+1:], []byte("crc32c "))
}

// settingsEpochs returns the epochs that have a file, ascending.
func settingsEpochs(fsys fsbackend.FS) ([]uint64, error) {
	names, err := fsys.List(settingsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("discovery: settings: %w", err)
	}
	epochs, _ := numbers(names, "")
	slices.Sort(epochs)
	return epochs, nil
}

// PutSettings changes some settings and leaves the others. It returns the new ones, durable; gateways follow after their next poll. It returns fault.Invalid for a key or value that
// this program does not know, and what [LoadSettings] returns. Of changes at the same time on several hosts one comes after the other, none is lost.
func PutSettings(fsys fsbackend.FS, changes ...Setting) (Settings, error) {
	for _, c := range changes {
		if _, ok := settingDefaults[c.Key]; !ok {
			return Settings{}, fault.New(fault.Invalid, "there is no setting %q: want one of %s", c.Key, strings.Join(slices.Sorted(maps.Keys(settingDefaults)), ", "))
		}
		if c.Value != "0" && c.Value != "1" {
			return Settings{}, fault.New(fault.Invalid, "%s=%s: want 0 (off) or 1 (on)", c.Key, c.Value)
		}
	}
	if err := makeDir(fsys, settingsDir); err != nil {
		return Settings{}, fmt.Errorf("discovery: settings: %w", err)
	}
	if _, err := LoadSettings(fsys); err != nil {
		return Settings{}, err
	}
	for {
		s, newer, err := putSettings(fsys, changes)
		if errors.Is(err, fs.ErrExist) || err == nil && newer {
			continue
		}
		return s, err
	}
}

// putSettings takes the next epoch, reads what was finished before it, and writes that with the changes. Somebody whose epoch was not finished by then has a newer one to see when it is, and puts his
// changes again: newer reports that.
func putSettings(fsys fsbackend.FS, changes []Setting) (s Settings, newer bool, err error) {
	wrap := func(err error) error { return fmt.Errorf("discovery: settings: %w", err) }
	epochs, err := settingsEpochs(fsys)
	if err != nil {
		return Settings{}, false, err
	}
	s.Epoch = 1
	if n := len(epochs); n > 0 { // also past one that was never finished
		s.Epoch = cluster.Epoch(epochs[n-1] + 1)
	}
	f, err := fsys.Create(settingsDir + "/" + epochName(s.Epoch))
	if err != nil {
		return Settings{}, false, wrap(err)
	}
	base, err := LoadSettings(fsys)
	if err == nil {
		s.values = maps.Clone(base.values)
		if s.values == nil {
			s.values = map[string]string{}
		}
		for _, c := range changes {
			s.values[c.Key] = c.Value
		}
		if err = finish(fsys, f, settingsDir, s.Append(nil)); err != nil {
			err = wrap(err)
		}
	} else {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return Settings{}, false, err
	}
	if epochs, err = settingsEpochs(fsys); err != nil {
		return Settings{}, false, err
	}
	for _, e := range epochs {
		newer = newer || e > uint64(s.Epoch)
		if e+keptSettings <= uint64(s.Epoch) {
			_ = fsys.Remove(settingsDir + "/" + epochName(cluster.Epoch(e))) // what is not removed now will be next time
		}
	}
	return s, newer, nil
}

// Append adds the settings' bytes (FORMAT.md, "Settings") to b.
func (s Settings) Append(b []byte) []byte {
	start := len(b)
	b = fmt.Appendf(b, "%s\nepoch %d\n", settingsMagic, uint64(s.Epoch))
	for _, k := range slices.Sorted(maps.Keys(s.values)) {
		b = fmt.Appendf(b, "set %s=%s\n", k, s.values[k])
	}
	return fmt.Appendf(b, "crc32c %08x\n", checksum.CRC32C(b[start:]))
}

// DecodeSettings reads what Append wrote, and nothing else. It returns fault.Corrupt for other bytes.
func DecodeSettings(b []byte) (Settings, error) {
	bad := func(what string) (Settings, error) {
		return Settings{}, fault.New(fault.Corrupt, "settings: %s", what)
	}
	lines, wrong := checkedLines(b, settingsMagic)
	if wrong != "" {
		return bad(wrong)
	}
	if len(lines) == 0 || len(lines) > 1+maxSettings {
		return bad("wrong number of lines")
	}
	s := Settings{values: map[string]string{}}
	var epoch uint64
	if err := parseField(strings.TrimPrefix(lines[0], "epoch "), &epoch); err != nil || epoch == 0 {
		return bad("no epoch")
	}
	s.Epoch = cluster.Epoch(epoch)
	for _, l := range lines[1:] {
		k, v, ok := strings.Cut(strings.TrimPrefix(l, "set "), "=")
		if !ok || k == "" || len(k) > maxSettingBytes || len(v) > maxSettingBytes {
			return bad("a line is no setting")
		}
		s.values[k] = v
	}
	if string(s.Append(nil)) != string(b) {
		return bad("not in canonical form")
	}
	return s, nil
}
