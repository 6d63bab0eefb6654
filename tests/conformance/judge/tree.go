// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A node is one name of a file system, with everything about it that must survive.
type node struct {
	path   string // relative, without a leading slash
	fields map[string]string
	stat   unix.Stat_t
}

func (n *node) isDir() bool { return n.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

type tree map[string]*node

func (t tree) paths() []string {
	paths := make([]string, 0, len(t))
	for path := range t {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}

var typeNames = map[uint32]string{
	unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "symlink", unix.S_IFCHR: "char",
	unix.S_IFBLK: "block", unix.S_IFIFO: "fifo", unix.S_IFSOCK: "socket",
}

// readTree walks what is at root. The root itself is left out: no layer tar of either side has it.
func readTree(root string) (tree, error) {
	t := tree{}
	links := map[[2]uint64][]string{}
	var walk func(dir string) error
	walk = func(dir string) error {
		names, err := namesIn(filepath.Join(root, dir))
		if err != nil {
			return err
		}
		for _, name := range names {
			path := name
			if dir != "" {
				path = dir + "/" + name
			}
			n, err := readNode(root, path)
			if err != nil {
				return err
			}
			t[path] = n
			if n.isDir() {
				if err := walk(path); err != nil {
					return err
				}
			} else if n.stat.Nlink > 1 {
				inode := [2]uint64{n.stat.Dev, n.stat.Ino}
				links[inode] = append(links[inode], path)
			}
		}
		return nil
	}
	if err := walk(""); err != nil {
		return nil, err
	}
	for _, group := range links {
		if len(group) < 2 {
			continue // the other names are in a layer below, or deleted
		}
		sort.Strings(group)
		for _, path := range group {
			t[path].fields["links"] = fmt.Sprintf("%q", group)
		}
	}
	return t, nil
}

func namesIn(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	sort.Strings(names)
	return names, err
}

func readNode(root, path string) (*node, error) {
	full := root + "/" + path
	n := &node{path: path, fields: map[string]string{}}
	if err := unix.Lstat(full, &n.stat); err != nil {
		if errors.Is(err, unix.ENOENT) {
			// overlayfs lists whiteouts in directories that it need not merge.
			n.fields["type"] = "listed but absent"
			return n, nil
		}
		return nil, fmt.Errorf("lstat %q: %w", full, err)
	}
	s, f := &n.stat, n.fields
	kind := s.Mode & unix.S_IFMT
	f["type"] = typeNames[kind]
	if kind == unix.S_IFCHR && s.Rdev == 0 {
		// The lowest layer is not mounted by Docker's driver, so its whiteouts are in plain sight.
		f["type"] = "whiteout"
		return n, nil
	}
	if kind != unix.S_IFLNK {
		f["mode"] = fmt.Sprintf("%04o", s.Mode&0o7777)
	}
	f["uid"], f["gid"] = fmt.Sprint(s.Uid), fmt.Sprint(s.Gid)
	f["mtime"] = timeText(s.Mtim.Sec)
	switch kind {
	case unix.S_IFREG:
		f["size"] = fmt.Sprint(s.Size)
		content, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		f["content"] = hash(content)
	case unix.S_IFLNK:
		target, err := os.Readlink(full)
		if err != nil {
			return nil, err
		}
		f["target"] = target
	case unix.S_IFCHR, unix.S_IFBLK:
		f["device"] = fmt.Sprintf("%d:%d", unix.Major(s.Rdev), unix.Minor(s.Rdev))
	}
	return n, readXattrs(full, f)
}

// What a layer is expected to keep; overlayfs's own attributes are no content.
func readXattrs(full string, fields map[string]string) error {
	list := make([]byte, 4096)
	count, err := unix.Llistxattr(full, list)
	if err != nil {
		return fmt.Errorf("llistxattr %q: %w", full, err)
	}
	for _, name := range strings.Split(string(list[:count]), "\x00") {
		if name != "security.capability" && !isExtra(name) {
			continue
		}
		value := make([]byte, 4096)
		size, err := unix.Lgetxattr(full, name, value)
		if err != nil {
			return fmt.Errorf("lgetxattr %q %s: %w", full, name, err)
		}
		fields["xattr "+name] = hex.EncodeToString(value[:size])
	}
	return nil
}

// isExtra: an xattr that overlayd keeps and Docker does not.
func isExtra(xattr string) bool {
	return strings.HasPrefix(xattr, "user.") || strings.HasPrefix(xattr, "system.posix_acl_")
}

func hash(content []byte) string {
	if len(content) <= 16 {
		return fmt.Sprintf("%q", content)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// Started when the program did: what has a later time got it from the clock.
var started = time.Now().Unix() - 5

const clock = "the clock's"

// timeText writes times that nobody set all alike.
func timeText(seconds int64) string {
	if isFromClock(seconds) {
		return clock
	}
	return fmt.Sprint(seconds)
}

func isFromClock(seconds int64) bool { return seconds >= started && seconds < started+7*86400 }

// settle gives everything that was touched in both trees, as the clock shows, the same time in both. What
// was not touched is left alone: setting its time would copy it up.
func settle(roots [2]string, layer int, dir string) error {
	var names [2][]string
	for i, root := range roots {
		var err error
		if names[i], err = namesIn(root + "/" + dir); err != nil {
			return err
		}
	}
	if fmt.Sprintf("%q", names[0]) != fmt.Sprintf("%q", names[1]) {
		return fmt.Errorf("the mounts differ in %q: %q and %q", dir, names[0], names[1])
	}
	for _, name := range names[0] {
		path := name
		if dir != "" {
			path = dir + "/" + name
		}
		var stat unix.Stat_t
		if err := unix.Lstat(roots[0]+"/"+path, &stat); err != nil {
			continue
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := settle(roots, layer, path); err != nil {
				return err
			}
		}
		if err := settleOne(roots, layer, path); err != nil {
			return err
		}
	}
	return settleOne(roots, layer, dir)
}

func settleOne(roots [2]string, layer int, path string) error {
	for _, root := range roots {
		full := root + "/" + path
		var stat unix.Stat_t
		if err := unix.Lstat(full, &stat); err != nil {
			return err
		}
		if !isFromClock(stat.Mtim.Sec) {
			continue
		}
		if err := setTime(full, timeFor(fmt.Sprint(layer, path))); err != nil {
			return err
		}
	}
	return nil
}

func setTime(full string, mtime unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{mtime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

// timeFor derives a time from a text: mostly of this century, a third of them in whole seconds, a few
// where tar's octal fields end.
func timeFor(text string) unix.Timespec {
	sum := sha256.Sum256([]byte(text))
	seconds := 1e9 + int64(sum[0])<<16 + int64(sum[1])<<8 + int64(sum[2])
	switch {
	case sum[3] == 0:
		seconds = -seconds / 100
	case sum[3] == 1:
		seconds = 1<<33 + seconds/10
	}
	nanoseconds := int64(sum[4])*3906250 + 1
	if sum[5] < 85 {
		nanoseconds = 0
	}
	return unix.Timespec{Sec: seconds, Nsec: nanoseconds}
}

// settleWhiteouts does the same to the whiteouts of a layer, which no mount shows.
func settleWhiteouts(upper string, layer int) error {
	return filepath.WalkDir(upper, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type()&os.ModeCharDevice == 0 {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil || stat.Rdev != 0 {
			return err
		}
		return setTime(path, unix.Timespec{Sec: 1100000000 + int64(layer)})
	})
}

// sameBytes says where two streams part.
func sameBytes(a, b []byte) (int, bool) {
	if bytes.Equal(a, b) {
		return 0, true
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i, false
}
