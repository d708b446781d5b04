package discovery

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	if s, err := LoadSettings(fsys); err != nil || s.Epoch != 0 || !s.On(SettingSigV2) || !s.On(SettingDefaultCORS) {
		t.Fatalf("before anything was set: %+v, %v", s, err)
	}
	for epoch, c := range []Setting{{SettingSigV2, "0"}, {SettingDefaultCORS, "0"}, {SettingSigV2, "1"}, {SettingSigV2, "0"}, {SettingDefaultCORS, "1"}} {
		put, err := PutSettings(fsys, c)
		if err != nil || put.value(c.Key) != c.Value || int(put.Epoch) != epoch+1 {
			t.Fatalf("put %v: %+v, %v", c, put, err)
		}
		if s, err := LoadSettings(fsys); err != nil || s.value(c.Key) != c.Value || s.Epoch != put.Epoch {
			t.Fatalf("after %v: %+v, %v", c, s, err)
		}
	}
	s, err := LoadSettings(fsys)
	if want := []Setting{{SettingDefaultCORS, "1"}, {SettingSigV2, "0"}}; err != nil || !slices.Equal(s.All(), want) {
		t.Errorf("%v, %v; want %v", s.All(), err, want)
	}
	if names, err := fsys.List(settingsDir); err != nil || len(names) != keptSettings {
		t.Errorf("files %v, %v: want %d", names, err, keptSettings)
	}
	for _, c := range []Setting{{"ostor.sigv4.enabled", "0"}, {SettingSigV2, "off"}, {SettingSigV2, ""}, {"", "1"}} {
		if _, err := PutSettings(fsys, c); !errors.Is(err, fault.Invalid) {
			t.Errorf("put %v: %v", c, err)
		}
	}
	if after, err := LoadSettings(fsys); err != nil || after.Epoch != s.Epoch {
		t.Errorf("what was refused left epoch %d, %v", after.Epoch, err)
	}
}

// TestSettingsOfNewerProgram: a key that only a newer program knows survives a change by this one.
func TestSettingsOfNewerProgram(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	newer := Settings{Epoch: 1, values: map[string]string{"ostor.later": "x=y", SettingSigV2: "0"}}
	if err := errors.Join(makeDir(fsys, settingsDir), createFile(fsys, settingsDir+"/"+epochName(1), golden(t, "settings", newer.Append(nil)))); err != nil {
		t.Fatal(err)
	}
	if _, err := PutSettings(fsys, Setting{SettingDefaultCORS, "0"}); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadSettings(fsys); err != nil || s.value("ostor.later") != "x=y" || s.On(SettingSigV2) || s.On(SettingDefaultCORS) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSettingsRefuseDamage(t *testing.T) {
	t.Parallel()
	good := Settings{Epoch: 2, values: map[string]string{SettingSigV2: "0"}}.Append(nil)
	for i := range good {
		c := slices.Clone(good)
		c[i] ^= 1
		if _, err := DecodeSettings(c); !errors.Is(err, fault.Corrupt) {
			t.Fatalf("byte %d changed: got %v", i, err)
		}
		if _, err := DecodeSettings(good[:i]); !errors.Is(err, fault.Corrupt) {
			t.Fatalf("cut to %d bytes: got %v", i, err)
		}
	}
	write := func(epoch2 []byte) *memfs.FS {
		fsys := memfs.New()
		if _, err := PutSettings(fsys, Setting{SettingDefaultCORS, "0"}); err != nil {
			t.Fatal(err)
		}
		if err := createFile(fsys, settingsDir+"/"+epochName(2), epoch2); err != nil {
			t.Fatal(err)
		}
		return fsys
	}
	// One that its writer did not finish never took effect, and the next change comes after it.
	for n := range len(good) {
		fsys := write(good[:n])
		s, err := LoadSettings(fsys)
		if err != nil || s.Epoch != 1 || s.On(SettingDefaultCORS) || !s.On(SettingSigV2) {
			t.Fatalf("cut to %d bytes: %+v, %v", n, s, err)
		}
		if s, err = PutSettings(fsys, Setting{SettingSigV2, "0"}); err != nil || s.Epoch != 3 || s.On(SettingDefaultCORS) || s.On(SettingSigV2) {
			t.Fatalf("put after one cut to %d bytes: %+v, %v", n, s, err)
		}
	}
	// A finished one that is damaged may have forbidden something: nothing is assumed.
	bad := slices.Clone(good)
	bad[len(settingsMagic)+3] ^= 1
	fsys := write(bad)
	if s, err := LoadSettings(fsys); !errors.Is(err, fault.Corrupt) {
		t.Errorf("damaged: %+v, %v", s, err)
	}
	if s, err := PutSettings(fsys, Setting{SettingSigV2, "1"}); !errors.Is(err, fault.Corrupt) {
		t.Errorf("put over damaged ones: %+v, %v", s, err)
	}
}

// TestPutSettingsTogether: of changes at the same time none is lost, however slow a writer is between taking his epoch, writing and looking for newer ones.
func TestPutSettingsTogether(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	for run := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			fsys := faultfs.New(memfs.New(), seed+run)
			if err := makeDir(fsys, settingsDir); err != nil {
				t.Fatal(err)
			}
			fsys.Add(faultfs.Rule{Delay: time.Millisecond, Prob: 0.5})
			var work sync.WaitGroup
			for _, k := range []string{SettingDefaultCORS, SettingSigV2} {
				work.Go(func() {
					if _, err := PutSettings(fsys, Setting{k, "0"}); err != nil {
						t.Error(err)
					}
				})
			}
			work.Wait()
			if s, err := LoadSettings(fsys); err != nil || s.On(SettingDefaultCORS) || s.On(SettingSigV2) {
				t.Fatalf("seed %d: %+v, %v", seed+run, s, err)
			}
		})
	}
}

func TestTopologyFollowsSettings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		mustCreate(t, fsys, 1, 1)
		tp, err := New((&network{}).options(fsys))
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		if !tp.Settings().On(SettingSigV2) {
			t.Error("off before it was set")
		}
		after := func(what string, sigV2 bool) {
			t.Helper()
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			if tp.Settings().On(SettingSigV2) != sigV2 {
				t.Errorf("%s: signature version 2 is %t", what, !sigV2)
			}
		}
		if _, err := PutSettings(fsys, Setting{SettingSigV2, "0"}); err != nil {
			t.Fatal(err)
		}
		after("switched off", false)
		if err := createFile(fsys, settingsDir+"/"+epochName(2), []byte("ostor-settings 1\nepoch 2\ncrc32c 00000000\n")); err != nil {
			t.Fatal(err)
		}
		after("damaged", false)
		if _, err := New((&network{}).options(fsys)); !errors.Is(err, fault.Corrupt) {
			t.Errorf("a new one begins with damaged settings: %v", err)
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add(Settings{Epoch: 7, values: map[string]string{SettingSigV2: "0", "ostor.later": "x=y"}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		reseal(b)
		s, err := DecodeSettings(b)
		if err == nil && string(s.Append(nil)) != string(b) {
			t.Fatalf("%q decodes, and encodes to %q", b, s.Append(nil))
		}
		if err != nil && !errors.Is(err, fault.Corrupt) {
			t.Fatalf("kind %v: %v", fault.KindOf(err), err)
		}
	})
}
