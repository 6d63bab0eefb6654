// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is a generated root file system as a tar: many small files and few large ones, deep directories
// of a few files and flat ones of hundreds, links, some owners and one file in five hundred with a
// capability, as Debian's have them. The same name always gives the same bytes.
type tree struct {
	name    string
	files   int
	bytes   int64 // of the files' data
	entries int   // members of the tar
	size    int64 // what DiffSize must say: data and the symbolic links' targets
	path    string
	content []byte // the tar, mapped
}

const symlinkEvery, hardLinkEvery, ownerEvery, capabilityEvery = 25, 300, 40, 500

func makeTree(directory, name string, files int, bytes int64) (*tree, error) {
	t := &tree{name: name, files: files, bytes: bytes, path: filepath.Join(directory, name+".tar")}
	file, err := os.Create(t.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := t.write(buffered); err != nil {
		return nil, err
	}
	if err := buffered.Flush(); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	t.content, err = unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	return t, err
}

func (t *tree) write(out io.Writer) error {
	random := newRandom(int64(t.files))
	directories := makeDirectories(random, t.files*6/25)
	perDirectory := spread(random, t.files, len(directories))
	sizes := fileSizes(random, t.files, t.bytes)
	data := filler(random)
	w := &treeWriter{tree: t, tar: tar.NewWriter(out), random: random}
	for i, directory := range directories {
		w.add(tar.Header{Typeflag: tar.TypeDir, Name: directory + "/", Mode: 0o755})
		for n := 0; n < perDirectory[i]; n++ {
			size := sizes[0]
			sizes = sizes[1:]
			at := random.Int63n(int64(len(data)) / 2)
			w.addFile(directory, n, size, data[at:])
		}
	}
	if w.err != nil {
		return w.err
	}
	return w.tar.Close()
}

// Directories in the order of a walk: each after the one above it.
func makeDirectories(random *rand.Rand, count int) []string {
	type node struct {
		path     string
		children []*node
	}
	root := &node{}
	nodes := []*node{root}
	for len(nodes) <= count {
		// Few directories have most of the subdirectories: usr/share/doc, usr/lib/python3.
		above := nodes[int(math.Pow(random.Float64(), 3)*float64(len(nodes)))]
		child := &node{path: filepath.Join(above.path, word(random, 4, 14)+fmt.Sprint(len(nodes)))}
		if len(child.path) > 180 {
			continue
		}
		above.children = append(above.children, child)
		nodes = append(nodes, child)
	}
	var walk func(*node) []string
	walk = func(n *node) []string {
		var paths []string
		for _, child := range n.children {
			paths = append(append(paths, child.path), walk(child)...)
		}
		return paths
	}
	return walk(root)
}

// How many files each directory has: mostly a few, in one of fifty hundreds.
func spread(random *rand.Rand, files, directories int) []int {
	weights, sum := make([]float64, directories), 0.0
	for i := range weights {
		weights[i] = random.ExpFloat64()
		if random.Intn(50) == 0 {
			weights[i] *= 50
		}
		sum += weights[i]
	}
	counts, given := make([]int, directories), 0
	for i := range counts {
		counts[i] = int(weights[i] / sum * float64(files))
		given += counts[i]
	}
	for ; given < files; given++ {
		counts[random.Intn(directories)]++
	}
	return counts
}

// Sizes are log-normal, half of them below 2 KiB or so, scaled to the sum wanted.
func fileSizes(random *rand.Rand, files int, bytes int64) []int64 {
	raw, sum := make([]float64, files), 0.0
	for i := range raw {
		raw[i] = math.Min(math.Exp(random.NormFloat64()*2.1), 5000)
		sum += raw[i]
	}
	sizes, left := make([]int64, files), bytes
	for i := range sizes {
		sizes[i] = int64(raw[i] / sum * float64(bytes))
		left -= sizes[i]
	}
	sizes[0] += left
	return sizes
}

func newRandom(seed int64) *rand.Rand { return rand.New(rand.NewSource(seed)) }

// What files are filled with: as long as the largest of them, and no page of it like another.
func filler(random *rand.Rand) []byte {
	data := make([]byte, 64<<20)
	random.Read(data)
	return data
}

const letters = "abcdefghijklmnopqrstuvwxyz-_."

func word(random *rand.Rand, least, most int) string {
	text := make([]byte, least+random.Intn(most-least+1))
	for i := range text {
		text[i] = letters[random.Intn(len(letters))]
	}
	text[0] = letters[random.Intn(26)]
	return string(text)
}

type treeWriter struct {
	tree   *tree
	tar    *tar.Writer
	random *rand.Rand
	files  int
	last   string
	err    error
}

func (w *treeWriter) add(header tar.Header) {
	if w.err != nil {
		return
	}
	header.ModTime = time.Unix(1600000000+w.random.Int63n(100000000), 0)
	w.tree.entries++
	w.err = w.tar.WriteHeader(&header)
}

func (w *treeWriter) addFile(directory string, n int, size int64, data []byte) {
	path := filepath.Join(directory, fmt.Sprintf("%s%d.%s", word(w.random, 4, 30), n, word(w.random, 1, 4)))
	header := tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: size}
	w.files++
	if w.files%6 == 0 {
		header.Mode = 0o755
	}
	if w.files%ownerEvery == 0 {
		header.Uid, header.Gid = 33, 33
	}
	if w.files%capabilityEvery == 0 {
		// Revision 2 with one permitted bit.
		capability := "\x01\x00\x00\x02\x00\x20" + strings.Repeat("\x00", 14)
		header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": capability}
	}
	w.add(header)
	if w.err == nil {
		_, w.err = w.tar.Write(data[:size])
	}
	w.tree.size += size
	if w.files%hardLinkEvery == 0 {
		w.add(tar.Header{Typeflag: tar.TypeLink, Name: path + ".same", Linkname: path, Mode: header.Mode})
	}
	if w.files%symlinkEvery == 0 {
		target := filepath.Base(path)
		w.add(tar.Header{Typeflag: tar.TypeSymlink, Name: path + ".link", Linkname: target, Mode: 0o777})
		w.tree.size += int64(len(target))
	}
}

// unpack writes the tree as a container would, through a mount.
func (t *tree) unpack(directory string) error {
	reader := tar.NewReader(t.reader())
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(directory, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.Mkdir(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(header.Linkname, path)
		case tar.TypeLink:
			err = os.Link(filepath.Join(directory, header.Linkname), path)
		default:
			var data []byte
			if data, err = io.ReadAll(reader); err == nil {
				err = os.WriteFile(path, data, os.FileMode(header.Mode))
			}
		}
		if err != nil {
			return err
		}
	}
}

func (t *tree) reader() io.Reader {
	// Plain io.Reader: what a layer comes from in the daemon, a pipe, cannot hand over all at once either.
	return struct{ io.Reader }{bytes.NewReader(t.content)}
}
