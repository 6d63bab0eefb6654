// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// An author makes up what happens in a layer. Everything comes from its random source, so that a seed
// tells the whole history.
type author struct {
	*rand.Rand
	mapped bool
}

func (a *author) chance(percent int) bool { return a.Intn(100) < percent }

func (a *author) one(of ...string) string { return of[a.Intn(len(of))] }

// name is mostly one of a few, so that histories meet the same names again.
func (a *author) name() string {
	if a.chance(90) {
		return a.one("a", "b", "c", "d", "e.txt", "lib", "etc", "z-last", "Upper", "a.b")
	}
	switch a.Intn(8) {
	case 0:
		return strings.Repeat("n", 99+a.Intn(4)) // around the 100 bytes of a header's name
	case 1:
		return strings.Repeat("p", 150+a.Intn(90)) // around and above the 155 of its prefix
	case 2:
		return "ünïcödé-" + fmt.Sprint(a.Intn(3))
	case 3:
		return "not-utf8-\xff\xfe" + fmt.Sprint(a.Intn(3))
	case 4:
		return "\xe9" // nothing but a byte that no header field takes
	case 5:
		return "with space=and\nnewline"
	case 6:
		return strings.Repeat("é", 100)
	default:
		return ".hidden"
	}
}

func (a *author) content() []byte {
	sizes := []int{0, 1, a.Intn(100), 511, 512, 513, a.Intn(9000)}
	content := make([]byte, sizes[a.Intn(len(sizes))])
	a.Read(content)
	return content
}

// mode: any of the twelve bits, though usually what people set.
func (a *author) mode() uint32 {
	if a.chance(25) {
		return uint32(a.Intn(0o10000))
	}
	modes := []uint32{0o644, 0o755, 0o600, 0o777, 0o1777, 0o4755, 0o2755, 0o0, 0o444}
	return modes[a.Intn(len(modes))]
}

// containerID: as the container sees it.
func (a *author) containerID() int {
	ids := []int{0, 0, 0, 1, 33, 1000, 65534}
	if !a.mapped {
		ids = append(ids, 2097151, 2097152, 4000000000) // tar's octal field ends at the first
	}
	return ids[a.Intn(len(ids))]
}

// hostID: the same, as it is on disk.
func (a *author) hostID() int {
	id := a.containerID()
	if a.mapped {
		id += mapBase
	}
	return id
}

// capability is a value of security.capability, of revision 2, or 3 with the owner that a container's
// root has.
func (a *author) capability() []byte {
	value := make([]byte, 20)
	binary.LittleEndian.PutUint32(value, 0x02000001)
	binary.LittleEndian.PutUint32(value[4:], uint32(1<<a.Intn(20)))
	if a.mapped && a.chance(50) {
		binary.LittleEndian.PutUint32(value, 0x03000001)
		value = binary.LittleEndian.AppendUint32(value, mapBase)
	}
	return value
}

// accessList is a POSIX ACL as an xattr value, with one named user.
func (a *author) accessList(user int) []byte {
	value := binary.LittleEndian.AppendUint32(nil, 2)
	add := func(tag, permissions uint16, id uint32) {
		value = binary.LittleEndian.AppendUint16(value, tag)
		value = binary.LittleEndian.AppendUint16(value, permissions)
		value = binary.LittleEndian.AppendUint32(value, id)
	}
	const nobody = 0xffffffff
	add(0x01, 7, nobody)                       // the owner
	add(0x02, uint16(a.Intn(8)), uint32(user)) // the named user
	add(0x04, 5, nobody)                       // the group
	add(0x10, 7, nobody)                       // the mask
	add(0x20, uint16(a.Intn(8)), nobody)       // others
	return value
}

// --- what is done through a mount -------------------------------------------------------------------

// An action does the same thing below any root.
type action struct {
	text string
	run  func(root string) error
}

// somewhere goes down from the root at random, to a name of one of the wanted kinds; "" if there is none
// on the way.
func (a *author) somewhere(root string, wanted func(mode uint32) bool) string {
	at, found := "", ""
	for depth := 0; depth < 12; depth++ {
		names, err := namesIn(root + "/" + at)
		if err != nil || len(names) == 0 {
			break
		}
		next := path.Join(at, names[a.Intn(len(names))])
		var stat unix.Stat_t
		if unix.Lstat(root+"/"+next, &stat) != nil {
			break
		}
		if wanted(stat.Mode) && (found == "" || a.chance(60)) {
			found = next
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			break
		}
		at = next
	}
	return found
}

func isFile(mode uint32) bool    { return mode&unix.S_IFMT == unix.S_IFREG }
func isDir(mode uint32) bool     { return mode&unix.S_IFMT == unix.S_IFDIR }
func isSymlink(mode uint32) bool { return mode&unix.S_IFMT == unix.S_IFLNK }
func isAny(uint32) bool          { return true }

// directory is one to put something in: the root now and then.
func (a *author) directory(root string) string {
	if a.chance(25) {
		return ""
	}
	return a.somewhere(root, isDir)
}

// place is a name to make something at, taken or not.
func (a *author) place(root string) string {
	if a.chance(20) {
		if taken := a.somewhere(root, isAny); taken != "" {
			return taken
		}
	}
	return path.Join(a.directory(root), a.name())
}

// Never through a symlink: it may lead out of the tree.
func writeFile(full string, flags int, content []byte) error {
	fd, err := unix.Open(full, flags|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), full)
	defer f.Close()
	_, err = f.Write(content)
	return err
}

// action makes up the next thing to do in a tree like the one at root.
func (a *author) action(root string) action {
	at, owner, group := a.place(root), a.hostID(), a.hostID()
	// New things are root's of the host, whom an id map does not know.
	own := func(full string, err error) error {
		if err != nil {
			return err
		}
		return unix.Lchown(full, owner, group)
	}
	create := func(what string, do func(full string) error) action {
		return action{fmt.Sprintf("%s %q (owner %d:%d)", what, at, owner, group), func(root string) error {
			return own(root+"/"+at, do(root+"/"+at))
		}}
	}
	onto := func(what string, wanted func(uint32) bool, do func(full string) error) action {
		target := a.somewhere(root, wanted)
		return action{fmt.Sprintf("%s %q", what, target), func(root string) error {
			if target == "" {
				return nil
			}
			return do(root + "/" + target)
		}}
	}

	switch pick := a.Intn(100); {
	case pick < 14:
		content, flags := a.content(), unix.O_CREAT|unix.O_TRUNC
		// An owner is set anew, so that nothing is left of a file that was there.
		return create(fmt.Sprintf("write %d bytes to", len(content)), func(full string) error {
			var stat unix.Stat_t
			if unix.Lstat(full, &stat) == nil && !isFile(stat.Mode) {
				return unix.EEXIST
			}
			return writeFile(full, flags, content)
		})
	case pick < 26:
		mode := a.mode()
		return create(fmt.Sprintf("mkdir %04o", mode), func(full string) error { return unix.Mkdir(full, mode) })
	case pick < 30:
		content := a.content()
		return onto(fmt.Sprintf("append %d bytes to", len(content)), isFile, func(full string) error {
			return writeFile(full, unix.O_APPEND, content)
		})
	case pick < 33:
		size := int64(a.Intn(600))
		return onto(fmt.Sprintf("truncate to %d", size), isFile, func(full string) error { return unix.Truncate(full, size) })
	case pick < 38:
		return onto("remove", isAny, func(full string) error {
			if err := unix.Unlink(full); err != unix.EISDIR {
				return err
			}
			return unix.Rmdir(full)
		})
	case pick < 44:
		return onto("remove all of", isAny, os.RemoveAll)
	case pick < 49:
		return a.makeAnew(root)
	case pick < 56:
		from := a.somewhere(root, isAny)
		return action{fmt.Sprintf("rename %q to %q", from, at), func(root string) error {
			return unix.Rename(root+"/"+from, root+"/"+at)
		}}
	case pick < 63:
		target := a.somewhere(root, func(mode uint32) bool { return !isDir(mode) })
		return action{fmt.Sprintf("link %q to %q", at, target), func(root string) error {
			return unix.Link(root+"/"+target, root+"/"+at)
		}}
	case pick < 68:
		target := a.one("a", "../b", "/etc/passwd", "nowhere", strings.Repeat("t/", 60)+"end", "ziel-ü", "\xff")
		return create(fmt.Sprintf("symlink to %q at", target), func(full string) error { return unix.Symlink(target, full) })
	case pick < 71:
		kind, device := a.device()
		mode := kind | a.mode()
		return create(fmt.Sprintf("mknod %o %x", mode, device), func(full string) error { return unix.Mknod(full, mode, device) })
	case pick < 76:
		mode := a.mode()
		return onto(fmt.Sprintf("chmod %04o", mode), func(m uint32) bool { return !isSymlink(m) }, func(full string) error {
			return unix.Chmod(full, mode)
		})
	case pick < 80:
		return onto(fmt.Sprintf("chown %d:%d", owner, group), isAny, func(full string) error { return own(full, nil) })
	case pick < 84:
		return a.setXattr(onto, "security.capability", a.capability(), isFile)
	case pick < 88:
		name := a.one("user.a", "user.mime_type", "user.ü")
		return a.setXattr(onto, name, a.content(), func(m uint32) bool { return isFile(m) || isDir(m) })
	case pick < 90 && *withACLs:
		if a.chance(50) {
			return a.setXattr(onto, "system.posix_acl_access", a.accessList(a.hostID()), func(m uint32) bool { return !isSymlink(m) })
		}
		return a.setXattr(onto, "system.posix_acl_default", a.accessList(a.hostID()), isDir)
	case pick < 95:
		// Few times, so that edits within one second happen.
		mtime := unix.Timespec{Sec: int64(a.Intn(3)-1) * 1000000000, Nsec: int64(a.Intn(2)) * 500}
		return onto(fmt.Sprintf("set the time %d.%d of", mtime.Sec, mtime.Nsec), isAny, func(full string) error {
			return setTime(full, mtime)
		})
	case pick < 97:
		return a.deep(root, owner, group)
	default:
		hole := int64(a.Intn(200000))
		content := a.content()
		return create(fmt.Sprintf("after a hole of %d bytes, write %d bytes to", hole, len(content)), func(full string) error {
			if err := writeFile(full, unix.O_CREAT|unix.O_EXCL, nil); err != nil {
				return err
			}
			if err := unix.Truncate(full, hole); err != nil {
				return err
			}
			return writeFile(full, unix.O_APPEND, content)
		})
	}
}

func (a *author) device() (kind uint32, device int) {
	switch a.Intn(3) {
	case 0:
		return unix.S_IFIFO, 0
	case 1:
		return unix.S_IFBLK, int(unix.Mkdev(uint32(a.Intn(300)), uint32(a.Intn(70000))))
	default:
		return unix.S_IFCHR, int(unix.Mkdev(uint32(1+a.Intn(300)), uint32(a.Intn(300))))
	}
}

func (a *author) setXattr(onto func(string, func(uint32) bool, func(string) error) action, name string, value []byte, wanted func(uint32) bool) action {
	if a.chance(20) {
		return onto("remove "+name+" from", wanted, func(full string) error { return unix.Lremovexattr(full, name) })
	}
	if len(value) > 1000 {
		value = value[:1000]
	}
	return onto(fmt.Sprintf("set %s=%x on", name, value), wanted, func(full string) error {
		return unix.Lsetxattr(full, name, value, 0)
	})
}

// makeAnew removes something and puts something of another or the same type in its place: directories
// become opaque.
func (a *author) makeAnew(root string) action {
	target, owner, mode := a.somewhere(root, isAny), a.hostID(), a.mode()
	kind, content, inside := a.one("directory", "directory", "file", "symlink"), a.content(), a.name()
	return action{fmt.Sprintf("replace %q by a %s (%04o, owner %d, with %q)", target, kind, mode, owner, inside), func(root string) error {
		full := root + "/" + target
		if target == "" {
			return nil
		}
		if err := os.RemoveAll(full); err != nil {
			return err
		}
		var err error
		switch kind {
		case "directory":
			if err = unix.Mkdir(full, mode); err == nil {
				err = writeOwned(full+"/"+inside, content, owner)
			}
		case "file":
			err = writeFile(full, unix.O_CREAT|unix.O_EXCL, content)
		case "symlink":
			err = unix.Symlink(inside, full)
		}
		if err != nil {
			return err
		}
		return unix.Lchown(full, owner, owner)
	}}
}

func writeOwned(full string, content []byte, owner int) error {
	if err := writeFile(full, unix.O_CREAT|unix.O_EXCL, content); err != nil {
		return err
	}
	return unix.Lchown(full, owner, owner)
}

// deep makes directories until names need the prefix of a header, or more than that.
func (a *author) deep(root string, owner, group int) action {
	at := a.directory(root)
	parts := make([]string, 2+a.Intn(8))
	for i := range parts {
		parts[i] = a.name()
		if a.chance(50) {
			parts[i] = strings.Repeat("deep", 5+a.Intn(5))
		}
	}
	return action{fmt.Sprintf("mkdir -p %q", path.Join(at, path.Join(parts...))), func(root string) error {
		full := root + "/" + at
		for _, part := range parts {
			full += "/" + part
			if err := unix.Mkdir(full, 0o755); err != nil {
				return err
			}
			if err := unix.Lchown(full, owner, group); err != nil {
				return err
			}
		}
		return writeOwned(full+"/"+"bottom", []byte("bottom"), owner)
	}}
}
