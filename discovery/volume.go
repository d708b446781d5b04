package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Limits of a volume.
const (
	Slots              = 4096 // shares of the namespace; fixed for ever: it decides placement
	MaxServers         = 1024 // name servers of a volume; object servers of one class
	MaxStorageClasses  = 16
	StandardClass      = 0
	firstVolumeNumber  = 1
	firstServiceNumber = 0
)

// Volume describes a set of name and object servers that share one namespace. One value is never changed: a newer epoch replaces it whole.
type Volume struct {
	ID      cluster.ServiceID
	Epoch   cluster.Epoch       // counts from 1
	Created time.Time           // of this epoch; UTC, millisecond precision; information only
	Names   []cluster.ServiceID // name servers: ascending, unique, 1 to MaxServers
	Slots   []uint16            // Slots long: index in Names of the server that keeps the slot
	Classes []ObjectClass       // by class: ascending, unique; the first is StandardClass
}

// ObjectClass names the object servers of a storage class.
type ObjectClass struct {
	Class   uint8               // as in cluster.Entry.StorageClass
	Servers []cluster.ServiceID // ascending, unique, 1 to MaxServers
}

// Objects returns the ids of all object servers, ascending.
func (v Volume) Objects() []cluster.ServiceID {
	var all []cluster.ServiceID
	for _, c := range v.Classes {
		all = append(all, c.Servers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// VolumeSpec says what CreateVolume makes.
type VolumeSpec struct {
	Names   int // name servers: 1 to MaxServers
	Objects int // object servers of class STANDARD: 1 to MaxServers
	Now     func() time.Time
}

// CreateVolume makes a volume with new name and object servers. Ids count up from 0100000000000001, 0800000000000000 and 1000000000000000, leaving out
// those in use; each is reserved exclusively, so that creations on several hosts do not collide. Slots are dealt out in turn. The volume exists once its first descriptor is durable;
// a creation that failed before leaves reserved ids that stay unused.
func CreateVolume(fsys fsbackend.FS, spec VolumeSpec) (Volume, error) {
	if spec.Names < 1 || spec.Names > MaxServers || spec.Objects < 1 || spec.Objects > MaxServers {
		return Volume{}, fault.New(fault.Invalid, "discovery: create volume: %d name and %d object servers, want 1 to %d of each", spec.Names, spec.Objects, MaxServers)
	}
	if spec.Now == nil {
		spec.Now = time.Now
	}
	for n := uint64(firstVolumeNumber); ; n++ {
		v := Volume{ID: cluster.NewServiceID(cluster.TypeVolume, n), Epoch: 1, Created: spec.Now().UTC().Truncate(time.Millisecond)}
		taken, err := fsys.List(VolumeDir(v.ID))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Volume{}, fmt.Errorf("discovery: create volume: %w", err)
		}
		if len(taken) > 0 {
			continue
		}
		if v.Names, err = reserve(fsys, v.ID, cluster.TypeName, spec.Names); err != nil {
			return Volume{}, fmt.Errorf("discovery: create volume: %w", err)
		}
		objects, err := reserve(fsys, v.ID, cluster.TypeObject, spec.Objects)
		if err != nil {
			return Volume{}, fmt.Errorf("discovery: create volume: %w", err)
		}
		v.Classes = []ObjectClass{{Class: StandardClass, Servers: objects}}
		v.Slots = make([]uint16, Slots)
		for i := range v.Slots {
			v.Slots[i] = uint16(i % spec.Names)
		}
		err = PublishVolume(fsys, v)
		if errors.Is(err, fault.Exists) { // somebody else took the id: their services are not ours, take the next one
			continue
		}
		return v, err
	}
}

// reserve finds n ids of a type that no service has and makes their directories.
func reserve(fsys fsbackend.FS, volume cluster.ServiceID, t cluster.ServiceType, n int) ([]cluster.ServiceID, error) {
	used, err := Services(fsys)
	if err != nil {
		return nil, err
	}
	var ids []cluster.ServiceID
	for k := uint64(firstServiceNumber); len(ids) < n; k++ {
		id := cluster.NewServiceID(t, k)
		if _, found := slices.BinarySearch(used, id); found {
			continue
		}
		dir := ServiceDir(id)
		if err := makeDir(fsys, dir); err != nil {
			return nil, err
		}
		err := createFile(fsys, dir+"/"+volumeName, []byte(volume.String()+"\n"))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// PublishVolume writes a descriptor. It takes effect once durable, in every resolver after its next poll. It returns fault.Exists when the epoch is taken.
func PublishVolume(fsys fsbackend.FS, v Volume) error {
	if err := v.validate(); err != nil {
		return err
	}
	dir := VolumeDir(v.ID)
	if err := makeDir(fsys, dir); err != nil {
		return fmt.Errorf("discovery: publish volume %s: %w", v.ID, err)
	}
	if err := createFile(fsys, dir+"/"+epochName(v.Epoch), v.Append(nil)); err != nil {
		return fmt.Errorf("discovery: publish volume %s: %w", v.ID, existing(err))
	}
	return nil
}

// Volumes returns the ids of all volumes, ascending; nil when there are none. A directory whose creation was not finished counts as none.
func Volumes(fsys fsbackend.FS) ([]cluster.ServiceID, error) {
	ids, err := listIDs(fsys, volumesDir)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ids, func(id cluster.ServiceID) bool {
		_, err := LoadVolume(fsys, id)
		return errors.Is(err, fault.NotFound)
	}), nil
}

// LoadVolume returns the newest valid descriptor. A newer one that is damaged was not finished by its writer and is passed over. It returns fault.NotFound when there is no
// volume of this id, or only one whose first descriptor is not written yet; fault.Corrupt when every descriptor is damaged.
func LoadVolume(fsys fsbackend.FS, id cluster.ServiceID) (Volume, error) {
	epochs, err := volumeEpochs(fsys, id)
	if err != nil {
		return Volume{}, err
	}
	err = fault.New(fault.NotFound, "discovery: there is no volume %s", id)
	for _, e := range slices.Backward(epochs) {
		v, rerr := readVolume(fsys, id, e)
		switch {
		case rerr == nil:
			return v, nil
		case errors.Is(rerr, errUnfinished), errors.Is(rerr, fault.NotFound):
		case errors.Is(rerr, fault.Corrupt):
			err = rerr
		default:
			return Volume{}, rerr
		}
	}
	return Volume{}, err
}

// errUnfinished marks a descriptor that its writer has not finished: shorter than it says.
var errUnfinished = errors.New("unfinished")

func volumeEpochs(fsys fsbackend.FS, id cluster.ServiceID) ([]uint64, error) {
	names, err := fsys.List(VolumeDir(id))
	if err != nil {
		return nil, fmt.Errorf("discovery: volume %s: %w", id, kinded(err))
	}
	epochs, _ := numbers(names, "")
	slices.Sort(epochs)
	return epochs, nil
}

func readVolume(fsys fsbackend.FS, id cluster.ServiceID, epoch uint64) (Volume, error) {
	name := VolumeDir(id) + "/" + epochName(cluster.Epoch(epoch))
	b, err := readFile(fsys, name)
	if err != nil {
		return Volume{}, fmt.Errorf("discovery: volume %s: %w", id, err)
	}
	v, err := DecodeVolume(b)
	if err != nil {
		err = fmt.Errorf("discovery: volume %s: %s: %w", id, name, err)
		if len(b) < volumeHeaderBytes || len(b) < int(binary.LittleEndian.Uint32(b[12:])) {
			err = fmt.Errorf("%w: %w", errUnfinished, err)
		}
		return Volume{}, err
	}
	if v.ID != id || uint64(v.Epoch) != epoch {
		return Volume{}, &fault.Corruption{File: name, What: "volume descriptor", Want: fmt.Sprintf("volume %s epoch %d", id, epoch), Got: fmt.Sprintf("volume %s epoch %d", v.ID, v.Epoch)}
	}
	return v, nil
}

func epochName(e cluster.Epoch) string { return fsbackend.GenerationName(uint64(e)) }

// existing gives fs.ErrExist its fault kind.
func existing(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Exists, err, "")
	}
	return err
}
