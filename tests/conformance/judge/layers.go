// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a generated tar does that Docker and overlayd are known to take differently.
type tarFacts struct {
	implied           map[string]bool // directories without a member of their own
	dirOnWhiteout     map[string]bool // directories made where the same tar has a whiteout
	whiteoutOnName    map[string]bool // whiteouts of what the same tar made before
	uselessInside     map[string]bool // whiteouts below directories that the tar makes opaque
	whiteouts         map[string]bool // all of them, as JSON shows the names
	below             tree            // what the tar lies on
	impliedOnWhiteout bool            // a whiteout's name is the directory of a later member
	dirReplaced       bool            // a directory, by something else
	otherLink         bool            // a hard link has other metadata than its target
}

// A generator writes a layer tar on top of the tree below.
type generator struct {
	*author
	below   tree
	out     bytes.Buffer
	writer  *tar.Writer
	made    map[string]byte // path to type, as the tar has it so far
	headers map[string]*tar.Header
	files   []string        // what hard links may point at
	gone    map[string]bool // whiteouts
	opaque  map[string]bool
	facts   tarFacts
	text    []string
	plainly bool // nothing that is taken differently
}

// tarLayer makes up a layer as an image builder would write it, or a careless one.
func (a *author) tarLayer(below tree) ([]byte, tarFacts, []string, error) {
	g := &generator{author: a, below: below, made: map[string]byte{}, headers: map[string]*tar.Header{}, gone: map[string]bool{}, opaque: map[string]bool{}}
	g.facts = tarFacts{
		implied: map[string]bool{}, dirOnWhiteout: map[string]bool{}, whiteoutOnName: map[string]bool{},
		uselessInside: map[string]bool{}, whiteouts: map[string]bool{}, below: below,
	}
	g.writer = tar.NewWriter(&g.out)
	g.plainly = a.chance(60)
	for i := 3 + a.Intn(15); i > 0; i-- {
		if err := g.member(); err != nil {
			return nil, g.facts, g.text, err
		}
	}
	if err := g.writer.Close(); err != nil {
		return nil, g.facts, g.text, err
	}
	return g.out.Bytes(), g.facts, g.text, nil
}

// directory is one that the tar may put something in: its own, or one from below.
func (g *generator) directory() string {
	if g.chance(25) {
		return ""
	}
	var choices []string
	for _, at := range sortedKeys(g.made) {
		if g.made[at] == tar.TypeDir {
			choices = append(choices, at)
		}
	}
	for _, at := range g.below.paths() {
		if g.below[at].isDir() && (g.made[at] == 0 || g.made[at] == tar.TypeDir) && g.isInDirectories(at) {
			choices = append(choices, at)
		}
	}
	if len(choices) == 0 {
		return ""
	}
	return choices[g.Intn(len(choices))]
}

// isInDirectories: no parent of the path is something else in this tar.
func (g *generator) isInDirectories(at string) bool {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if kind := g.made[dir]; kind != 0 && kind != tar.TypeDir {
			return false
		}
	}
	return true
}

func (g *generator) member() error {
	dir := g.directory()
	if err := g.parents(dir); err != nil {
		return err
	}
	at := path.Join(dir, g.name())
	if g.chance(30) {
		if children := g.childrenBelow(dir); len(children) > 0 {
			at = children[g.Intn(len(children))]
		}
	}
	switch pick := g.Intn(100); {
	case pick < 30:
		content := g.content()
		return g.write(&tar.Header{Typeflag: tar.TypeReg, Name: at, Size: int64(len(content))}, content)
	case pick < 50:
		return g.write(&tar.Header{Typeflag: tar.TypeDir, Name: at + "/"}, nil)
	case pick < 58:
		return g.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: g.one("a", "../b/c", "/etc/passwd", "ü")}, nil)
	case pick < 64:
		kind, device := g.device()
		header := &tar.Header{Typeflag: tar.TypeFifo, Name: at}
		if kind != unix.S_IFIFO {
			header.Devmajor, header.Devminor = int64(unix.Major(uint64(device))), int64(unix.Minor(uint64(device)))
			header.Typeflag = tar.TypeBlock
			if kind == unix.S_IFCHR {
				header.Typeflag = tar.TypeChar
			}
		}
		return g.write(header, nil)
	case pick < 74:
		for try := 0; try < 5 && len(g.files) > 0; try++ {
			target := g.files[g.Intn(len(g.files))]
			if g.made[target] == tar.TypeReg && target != at {
				return g.write(&tar.Header{Typeflag: tar.TypeLink, Name: at, Linkname: target}, nil)
			}
		}
		return nil
	case pick < 90:
		return g.whiteout(dir, at)
	default:
		return g.marker(dir)
	}
}

func (g *generator) childrenBelow(dir string) []string {
	var children []string
	for _, at := range g.below.paths() {
		if path.Dir("/"+at) == path.Join("/", dir) {
			children = append(children, at)
		}
	}
	return children
}

// parents writes members for the directories above, as well-made tars have them, or leaves them implied.
func (g *generator) parents(dir string) error {
	if dir == "" || g.made[dir] == tar.TypeDir {
		return nil
	}
	if err := g.parents(strings.TrimPrefix(path.Dir("/"+dir), "/")); err != nil {
		return err
	}
	if g.gone[dir] || !g.plainly && g.chance(40) {
		g.implied(dir)
		return nil
	}
	return g.write(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/"}, nil)
}

func (g *generator) implied(dir string) {
	if g.gone[dir] {
		g.facts.impliedOnWhiteout, g.facts.dirOnWhiteout[dir] = true, true
	}
	g.facts.implied[dir] = true
	g.made[dir] = tar.TypeDir
	g.text = append(g.text, fmt.Sprintf("  (implied %q)", dir))
}

// write adds an ordinary member, with owner, mode and time made up.
func (g *generator) write(h *tar.Header, content []byte) error {
	at := strings.TrimSuffix(h.Name, "/")
	if !g.isInDirectories(at) {
		return nil
	}
	if g.gone[at] && h.Typeflag == tar.TypeDir {
		if g.plainly {
			return nil
		}
		g.facts.dirOnWhiteout[at] = true
	}
	delete(g.gone, at)
	if g.made[at] != 0 && g.plainly && (g.made[at] != tar.TypeDir || h.Typeflag != tar.TypeDir) {
		return nil
	}
	if h.Typeflag != tar.TypeDir {
		g.facts.dirReplaced = g.facts.dirReplaced || g.made[at] == tar.TypeDir
		g.forget(at)
	}
	g.made[at] = h.Typeflag
	if h.Typeflag == tar.TypeLink {
		g.made[at] = tar.TypeReg
	}
	delete(g.facts.implied, at)
	if h.Typeflag == tar.TypeReg {
		g.files = append(g.files, at)
	}
	h.Format = tar.FormatPAX
	h.Mode, h.Uid, h.Gid = int64(g.mode()), g.containerID(), g.containerID()
	mtime := timeFor(fmt.Sprint(g.Int63()))
	h.ModTime = time.Unix(mtime.Sec, mtime.Nsec)
	if h.Typeflag == tar.TypeReg && g.chance(10) {
		value := g.capability()[:20]
		value[3] = 2 // tars carry revision 2 only
		h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(value)}
	}
	if h.Typeflag == tar.TypeLink {
		if target := g.headers[h.Linkname]; g.plainly || g.chance(80) {
			h.Mode, h.Uid, h.Gid, h.ModTime, h.PAXRecords = target.Mode, target.Uid, target.Gid, target.ModTime, target.PAXRecords
		} else {
			g.facts.otherLink = true
		}
	}
	g.headers[at] = h
	g.text = append(g.text, fmt.Sprintf("  member %c %04o %d:%d %q %q", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Name, h.Linkname))
	if err := g.writer.WriteHeader(h); err != nil {
		return err
	}
	_, err := g.writer.Write(content)
	return err
}

// forget drops what a member replaces.
func (g *generator) forget(at string) {
	for _, other := range sortedKeys(g.made) {
		if strings.HasPrefix(other, at+"/") {
			delete(g.made, other)
			delete(g.opaque, other)
		}
	}
	delete(g.opaque, at)
}

func (g *generator) whiteout(dir, at string) error {
	if g.plainly && (g.made[at] != 0 || g.gone[at] || g.below[at] == nil || g.isCutOff(dir)) {
		return nil
	}
	if g.made[at] != 0 || g.gone[at] {
		g.facts.whiteoutOnName[at] = true
		// Docker has not made it yet, and then has a whiteout in the way of what is to be in it.
		if g.facts.implied[at] {
			g.facts.impliedOnWhiteout, g.facts.dirOnWhiteout[at] = true, true
		}
		g.dropWhiteouts(at)
	}
	if g.isCutOff(dir) {
		g.facts.uselessInside[at] = true
	}
	if g.made[at] == 0 {
		g.gone[at] = true
	}
	g.facts.whiteouts[asJSON(at)] = true
	return g.special(path.Join(dir, ".wh."+path.Base(at)))
}

func (g *generator) marker(dir string) error {
	if dir == "" || g.opaque[dir] {
		return nil // the root of a layer cannot be opaque
	}
	if g.plainly && g.hasWhiteouts(dir) {
		return nil
	}
	g.opaque[dir] = true
	g.dropWhiteouts(dir)
	return g.special(path.Join(dir, ".wh..wh..opq"))
}

// isCutOff: nothing of the layers below shows in dir, as overlayd has it.
func (g *generator) isCutOff(dir string) bool {
	for ; dir != "" && dir != "."; dir = path.Dir(dir) {
		if g.opaque[dir] || g.facts.dirOnWhiteout[dir] || g.facts.whiteoutOnName[dir] {
			return true
		}
	}
	return false
}

func (g *generator) hasWhiteouts(dir string) bool {
	for at := range g.gone {
		if strings.HasPrefix(at, dir+"/") {
			return true
		}
	}
	return false
}

// dropWhiteouts: dir hides everything below, so overlayd keeps none in it.
func (g *generator) dropWhiteouts(dir string) {
	for at := range g.gone {
		if strings.HasPrefix(at, dir+"/") {
			g.facts.uselessInside[at] = true
		}
	}
}

func (g *generator) special(name string) error {
	g.text = append(g.text, fmt.Sprintf("  marker %q", name))
	return g.writer.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(1200000000, 0)})
}
