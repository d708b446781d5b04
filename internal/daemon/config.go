package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"ostor/fsbackend/lease"
	"ostor/internal/fault"
)

// Config is everything that a command can be told: read once at its start from defaults, the configuration file, the environment (OSTOR_ and the
// key in capitals, "_" for "-") and flags, the later ones winning; then passed on. Keys are those of the mapstructure tags.
type Config struct {
	Local     string `mapstructure:"local-dir"`   // host-local directory: identity of the host, locks that show an exit
	Run       string `mapstructure:"run-dir"`     // host-local directory of unix sockets
	Profile   string `mapstructure:"profile"`     // lease profile: test, fast, default, safe
	Metrics   string `mapstructure:"metrics"`     // address of the Prometheus listener, host:port or unix:/path; "" = none
	Log       string `mapstructure:"log"`         // debug, info, warn, error
	LogJSON   bool   `mapstructure:"log-json"`    // JSON instead of text
	AccessLog string `mapstructure:"access-log"`  // file of the gateway's access log; "-" = standard error, "" = none
	Memory    int64  `mapstructure:"memory"`      // MiB that the Go heap should stay below; 0 = no limit
	Key       string `mapstructure:"cluster-key"` // file of the cluster key; "" = control/cluster.key on the mount

	Listen   string        `mapstructure:"listen"`        // S3 address, host:port
	Domains  []string      `mapstructure:"domain"`        // base domains of virtual-hosted buckets
	Region   string        `mapstructure:"region"`        // S3 region
	SigV2    bool          `mapstructure:"sigv2"`         // signature version 2 is accepted
	CORS     bool          `mapstructure:"default-cors"`  // buckets without a CORS configuration allow pages of all origins
	Names    int           `mapstructure:"ns"`            // name servers of a new volume
	Objects  int           `mapstructure:"os"`            // object servers of a new volume
	Volume   string        `mapstructure:"volume"`        // id; "" = the only one
	Service  string        `mapstructure:"service"`       // id of the NS or OS to run
	RPC      string        `mapstructure:"rpc"`           // "unix" or host:port
	TLSCert  string        `mapstructure:"tls-cert"`      // PEM files of mutual TLS between hosts
	TLSKey   string        `mapstructure:"tls-key"`       //
	TLSCA    string        `mapstructure:"tls-ca"`        //
	Takeover bool          `mapstructure:"takeover"`      // take a service from another host that is not known to be dead: waits first
	Over     uint64        `mapstructure:"over"`          // the generation to follow: with any other newest one, give up; 0 = any
	Gateways []string      `mapstructure:"gateway"`       // where the gateways that an agent runs listen
	Garbage  time.Duration `mapstructure:"garbage-delay"` // time between a delete and the freeing of its bytes
	Cache    int64         `mapstructure:"cache"`         // MiB of B-tree pages cached per service
	Memtable int64         `mapstructure:"memtable"`      // MiB of changes in memory per service before a checkpoint
	LogBytes int64         `mapstructure:"log-size"`      // MiB of redo log per service since the last checkpoint: bounds the recovery time
	Scrub    int64         `mapstructure:"scrub-rate"`    // MiB a second that an object server reads to look for damage; 0 = it does not
}

// Flags adds the flags named, with their help, to a flag set. The names are those of Config.
func Flags(fs *pflag.FlagSet, names ...string) {
	for _, n := range names {
		f, ok := flagHelp[n]
		if !ok {
			panic("daemon: no flag " + n)
		}
		switch d := f.def.(type) {
		case string:
			fs.String(n, d, f.help)
		case bool:
			fs.Bool(n, d, f.help)
		case int:
			fs.Int(n, d, f.help)
		case uint64:
			fs.Uint64(n, d, f.help)
		case time.Duration:
			fs.Duration(n, d, f.help)
		case []string:
			fs.StringSlice(n, d, f.help)
		}
	}
}

var flagHelp = map[string]struct {
	def  any
	help string
}{
	"local-dir":     {"", "host-local `DIR` for the host's identity and locks (default /var/lib/ostor/local, or ~/.local/state/ostor when not root)"},
	"run-dir":       {"", "host-local `DIR` for unix sockets (default /run/ostor, or a private directory of the user)"},
	"profile":       {"default", "lease profile: test, fast, default or safe; the same on all hosts of a cluster"},
	"metrics":       {"", "serve Prometheus metrics on this `ADDR`, for example 127.0.0.1:9100 or unix:/run/ostor/metrics (default off)"},
	"log":           {"info", "log `LEVEL`: debug, info, warn, error"},
	"log-json":      {false, "log in JSON"},
	"access-log":    {"", "write a line per S3 request to `FILE`, which may be moved away at any time; - is standard error (default off)"},
	"sigv2":         {true, "accept signature version 2; false refuses it, on every gateway that is told so"},
	"memory":        {200, "soft limit of the heap in `MIB`; 0 is no limit"},
	"cluster-key":   {"", "`FILE` of the 32-byte cluster key that seals secrets (default control/cluster.key on the mount)"},
	"listen":        {"127.0.0.1:9000", "serve S3 on this `ADDR`"},
	"domain":        {[]string(nil), "base `DOMAIN` for virtual-hosted buckets; may be repeated"},
	"region":        {"us-east-1", "S3 region"},
	"default-cors":  {true, "let pages of all origins use buckets that have no CORS configuration"},
	"ns":            {1, "name servers of a new volume"},
	"os":            {1, "object servers of a new volume"},
	"volume":        {"", "volume `ID` (default: the only one)"},
	"service":       {"", "`ID` of the service, 16 hex digits"},
	"rpc":           {"unix", "where the service answers: unix, or host:port (TCP; not loopback: needs --tls-*)"},
	"tls-cert":      {"", "PEM `FILE` with this service's certificate"},
	"tls-key":       {"", "PEM `FILE` with its key"},
	"tls-ca":        {"", "PEM `FILE` with the cluster's CA"},
	"takeover":      {false, "take the service over from a host that is not known to be dead; waits until that host can no longer reply"},
	"over":          {uint64(0), "start only if `GEN` is still the newest generation of the service; 0 is any. For agents, so that the second of two gives up"},
	"gateway":       {[]string(nil), "run an S3 gateway that listens on this `ADDR`; may be repeated"},
	"garbage-delay": {time.Minute, "time between a delete and the freeing of its bytes"},
	"cache":         {32, "`MIB` of B-tree pages cached per service"},
	"memtable":      {24, "`MIB` of changes kept in memory per service before a checkpoint"},
	"log-size":      {64, "`MIB` of redo log per service since the last checkpoint: bounds the time of recovery"},
	"scrub-rate":    {8, "`MIB` a second that each object server reads to look for damage; 0 turns that off"},
}

// Load reads the configuration for one command: flags that were set win over the environment, that over the file, that over defaults.
// file may be "": then /etc/ostor/ostor.yaml is read when it exists.
func Load(file string, flags *pflag.FlagSet) (Config, error) {
	v := viper.New()
	for n, f := range flagHelp {
		v.SetDefault(n, f.def)
	}
	v.SetEnvPrefix("ostor")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	explicit := file != ""
	if !explicit {
		file = "/etc/ostor/ostor.yaml"
	}
	v.SetConfigFile(file)
	if _, err := os.Stat(file); explicit && err != nil { // viper would speak of the type that it cannot tell from the name
		return Config{}, fault.Wrap(fault.Invalid, err, "read the configuration file")
	}
	if err := v.ReadInConfig(); err != nil && (explicit || !errors.Is(err, fs.ErrNotExist)) {
		return Config{}, fault.Wrap(fault.Invalid, err, "read the configuration file %s", file)
	}
	if err := v.BindPFlags(flags); err != nil {
		return Config{}, err
	}
	var c Config
	if err := v.UnmarshalExact(&c); err != nil {
		// A key of another command is no error in a shared file; a key of none is.
		c = Config{}
		if err := v.Unmarshal(&c); err != nil {
			return Config{}, fault.Wrap(fault.Invalid, err, "configuration")
		}
		for _, k := range v.AllKeys() {
			if _, ok := flagHelp[k]; !ok && flags.Lookup(k) == nil {
				return Config{}, fault.New(fault.Invalid, "%s: unknown key %q", file, k)
			}
		}
	}
	return c, c.complete(flags.Lookup("local-dir") != nil)
}

// complete fills in what depends on the user, and checks the values. A command without a host-local directory needs no home.
func (c *Config) complete(local bool) error {
	uid := os.Getuid()
	if c.Local == "" && local {
		if c.Local = "/var/lib/ostor/local"; uid != 0 {
			home, err := os.UserHomeDir()
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "no home directory: name a host-local directory with --local-dir")
			}
			c.Local = filepath.Join(home, ".local", "state", "ostor")
		}
	}
	if c.Run == "" {
		switch dir := os.Getenv("XDG_RUNTIME_DIR"); {
		case uid == 0:
			c.Run = "/run/ostor"
		case dir != "":
			c.Run = filepath.Join(dir, "ostor")
		default:
			c.Run = filepath.Join(os.TempDir(), fmt.Sprintf("ostor-%d", uid))
		}
	}
	for _, n := range []struct {
		name  string
		value int64
		min   int64
		max   int64
	}{{"ns", int64(c.Names), 1, 1024}, {"os", int64(c.Objects), 1, 1024}, {"cache", c.Cache, 1, 1 << 20},
		{"memtable", c.Memtable, 1, 1 << 16}, {"log-size", c.LogBytes, 16, 1 << 20}, {"memory", c.Memory, 0, 1 << 24}, {"scrub-rate", c.Scrub, 0, 1 << 20}} {
		if n.value < n.min || n.value > n.max {
			return fault.New(fault.Invalid, "--%s is %d: want %d to %d", n.name, n.value, n.min, n.max)
		}
	}
	if c.Garbage < 0 {
		return fault.New(fault.Invalid, "--garbage-delay is negative")
	}
	if _, err := c.level(); err != nil {
		return err
	}
	_, err := c.LeaseProfile()
	return err
}

// LeaseProfile returns the profile by its name.
func (c *Config) LeaseProfile() (lease.Profile, error) {
	switch c.Profile {
	case "test":
		return lease.Test, nil
	case "fast":
		return lease.Fast, nil
	case "default", "":
		return lease.Default, nil
	case "safe":
		return lease.Safe, nil
	}
	return lease.Profile{}, fault.New(fault.Invalid, "--profile is %q: want test, fast, default or safe", c.Profile)
}
