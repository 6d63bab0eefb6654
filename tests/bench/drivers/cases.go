// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/daemon/graphdriver/graphtest"

	"overlayd.test/socketplugin"
)

// The benchmarks of Docker's own drivers, with which overlay2 was presented in 2016.
type dockersOwn struct{}

type dockersBenchmark struct {
	name      string
	onlyCalls bool // nothing but the answers is looked at
	times     int
	run       func(b *testing.B, driver string)
}

var dockersBenchmarks = []dockersBenchmark{
	{"Exists", true, 2000, func(b *testing.B, d string) { graphtest.DriverBenchExists(b, d) }},
	{"GetEmpty", true, 500, func(b *testing.B, d string) { graphtest.DriverBenchGetEmpty(b, d) }},
	{"DiffBase", false, 300, func(b *testing.B, d string) { graphtest.DriverBenchDiffBase(b, d) }},
	{"DiffSmallUpper", false, 200, func(b *testing.B, d string) { graphtest.DriverBenchDiffN(b, 10, 10, d) }},
	{"Diff10KFileUpper", false, 4, func(b *testing.B, d string) { graphtest.DriverBenchDiffN(b, 10, 10000, d) }},
	{"Diff10KFilesBottom", false, 4, func(b *testing.B, d string) { graphtest.DriverBenchDiffN(b, 10000, 10, d) }},
	{"DiffApply100", false, 30, func(b *testing.B, d string) { graphtest.DriverBenchDiffApplyN(b, 100, d) }},
	{"Diff20Layers", false, 100, func(b *testing.B, d string) { graphtest.DriverBenchDeepLayerDiff(b, 20, d) }},
	{"Read20Layers", false, 500, func(b *testing.B, d string) { graphtest.DriverBenchDeepLayerRead(b, 20, d) }},
}

func (dockersOwn) cases() (names []string) {
	for _, benchmark := range dockersBenchmarks {
		names = append(names, benchmark.name)
	}
	return names
}

func (dockersOwn) run(r *results, c *contestant) error {
	os.Setenv("TMPDIR", *home)
	for _, benchmark := range dockersBenchmarks {
		if !r.wants(benchmark.name) {
			continue
		}
		if err := settle(c); err != nil {
			return err
		}
		flag.Set("test.benchtime", strconv.Itoa(benchmark.times)+"x")
		if err := benchmark.measure(r, c.name, c.registered); err != nil {
			return err
		}
		// Once a round, beside the first contestant.
		if c.name == "docker" && benchmark.onlyCalls {
			if err := benchmark.measure(r, "floor", floorPlugin); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dockersBenchmark) measure(r *results, contestant, driver string) error {
	result := testing.Benchmark(func(b *testing.B) { d.run(b, driver) })
	if result.N == 0 {
		return fmt.Errorf("%s failed", d.name)
	}
	r.add(d.name, contestant, result.T.Seconds()/float64(result.N))
	return nil
}

// The life of one large layer.
type layers struct {
	tree   *tree
	bases  map[string]string // by contestant
	images map[string]container
	floors int
}

// A container on an image, mounted all the time.
type container struct{ id, parent, root string }

func (l *layers) name(what string) string { return what + "-" + l.tree.name }

func (l *layers) cases() (names []string) {
	for _, what := range []string{"apply", "diff", "four-diffs", "size", "size-live", "changes", "changes-live",
		"remove", "create-p99", "create-p99-emptying"} {
		names = append(names, l.name(what))
	}
	return names
}

func (l *layers) run(r *results, c *contestant) error {
	if err := l.prepare(c); err != nil {
		return err
	}
	base := l.bases[c.name]
	id, err := c.newLayer(base)
	if err != nil {
		return err
	}
	apply := func() error {
		size, err := c.driver.ApplyDiff(id, base, l.tree.reader())
		if err == nil && size != l.tree.size {
			err = fmt.Errorf("ApplyDiff says %d bytes, not %d", size, l.tree.size)
		}
		return err
	}
	if err := r.time(l.name("apply"), c, apply); err != nil {
		return err
	}
	diff := func() error { return l.diff(c, id, base) }
	if err := diff(); err != nil { // all in the page cache
		return err
	}
	if err := r.time(l.name("diff"), c, diff); err != nil {
		return err
	}
	fourDiffs := func() error { return atOnce([]func() error{diff, diff, diff, diff}) }
	if err := r.time(l.name("four-diffs"), c, fourDiffs); err != nil {
		return err
	}
	size := func() error {
		size, err := c.driver.DiffSize(id, base)
		if err == nil && size != l.tree.size {
			err = fmt.Errorf("DiffSize says %d bytes, not %d", size, l.tree.size)
		}
		return err
	}
	if err := r.timeMean(l.name("size"), c, 5, nothing, size); err != nil {
		return err
	}
	changes := func() error {
		changes, err := c.driver.Changes(id, base)
		if err == nil && len(changes) != l.tree.entries {
			err = fmt.Errorf("%d changes, not %d", len(changes), l.tree.entries)
		}
		return err
	}
	if err := r.time(l.name("changes"), c, changes); err != nil {
		return err
	}
	if c.name == "docker" {
		if err := l.floorOfChanges(r, c, id, base); err != nil {
			return err
		}
	}
	if err := l.runLive(r, c); err != nil {
		return err
	}
	if err := l.createMany(r, c, "create-p99", nothing); err != nil {
		return err
	}
	remove := func() error { return c.driver.Remove(id) }
	err = l.createMany(r, c, "create-p99-emptying", func() error { return r.time(l.name("remove"), c, remove) })
	if err != nil {
		return err
	}
	// Once a round, beside the first contestant.
	if c.name == "docker" {
		return l.runFloor(r)
	}
	return nil
}

// Every contestant has a base with one file and an image of the tree on it, with a container on top.
func (l *layers) prepare(c *contestant) error {
	if l.bases == nil {
		l.bases, l.images = map[string]string{}, map[string]container{}
	}
	if l.bases[c.name] != "" {
		return nil
	}
	base, err := c.newLayer("")
	if err != nil {
		return err
	}
	if _, err := c.driver.ApplyDiff(base, "", smallTar()); err != nil {
		return err
	}
	image, err := c.newLayer(base)
	if err != nil {
		return err
	}
	if _, err := c.driver.ApplyDiff(image, base, l.tree.reader()); err != nil {
		return err
	}
	live := container{parent: image}
	if live.id, err = c.newContainer(image); err != nil {
		return err
	}
	root, err := c.driver.Get(live.id, "")
	if err != nil {
		return err
	}
	live.root = filepath.Join(root.Path(), "live")
	if err := os.Mkdir(live.root, 0o755); err != nil {
		return err
	}
	l.bases[c.name], l.images[c.name] = base, live
	// The same content, written by the container.
	return l.tree.unpack(live.root)
}

// The container's own layer is as large as the image below it, and something of it changes all the time.
func (l *layers) runLive(r *results, c *contestant) error {
	live := l.images[c.name]
	write := func() error { return writeTen(live.root) }
	size := func() error {
		size, err := c.driver.DiffSize(live.id, live.parent)
		if err == nil && size < l.tree.size {
			err = fmt.Errorf("DiffSize of a live layer says %d bytes, less than %d", size, l.tree.size)
		}
		return err
	}
	if err := r.timeMean(l.name("size-live"), c, 3, write, size); err != nil {
		return err
	}
	// `docker diff` of a container on a large image.
	id, err := c.newContainer(live.parent)
	if err != nil {
		return err
	}
	root, err := c.driver.Get(id, "")
	if err != nil {
		return err
	}
	if err := writeTen(root.Path()); err != nil {
		return err
	}
	changes := func() error {
		changes, err := c.driver.Changes(id, live.parent)
		if err == nil && len(changes) != 10 {
			err = fmt.Errorf("%d changes, not 10", len(changes))
		}
		return err
	}
	if err := r.time(l.name("changes-live"), c, changes); err != nil {
		return err
	}
	if err := c.driver.Put(id); err != nil {
		return err
	}
	return c.driver.Remove(id)
}

func writeTen(directory string) error {
	for i := 0; i < 10; i++ {
		path := filepath.Join(directory, fmt.Sprintf("changed-%d", i))
		if err := os.WriteFile(path, []byte(time.Now().String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (l *layers) diff(c *contestant, id, parent string) error {
	stream, err := c.driver.Diff(id, parent)
	if err != nil {
		return err
	}
	defer stream.Close()
	count, err := io.Copy(io.Discard, stream)
	if err == nil && count < l.tree.bytes {
		err = fmt.Errorf("a diff of %d bytes", count)
	}
	return err
}

// The slowest but one percent of 300 Creates right after `before`.
func (l *layers) createMany(r *results, c *contestant, what string, before func() error) error {
	if err := settle(c); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	var times []float64
	var made []string
	for i := 0; i < 300; i++ {
		began := time.Now()
		id, err := c.newLayer(l.bases[c.name])
		times = append(times, time.Since(began).Seconds())
		if err != nil {
			return err
		}
		made = append(made, id)
	}
	sort.Float64s(times)
	r.add(l.name(what), c.name, times[len(times)*99/100])
	for _, id := range made {
		if err := c.driver.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// The same list from a plugin that has it already: what the engine's decoding takes.
func (l *layers) floorOfChanges(r *results, c *contestant, id, base string) error {
	list, err := c.driver.Changes(id, base)
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]interface{}{"Changes": list})
	if err != nil {
		return err
	}
	if err := os.WriteFile(floorSocket+".changes", text, 0o600); err != nil {
		return err
	}
	root := filepath.Join(*home, "floor-changes")
	defer os.RemoveAll(root)
	driver, err := newDriver(root, "floor", socketplugin.Getter{Socket: floorSocket})
	if err != nil {
		return err
	}
	return r.time(l.name("changes"), &contestant{name: "floor", driver: driver, home: root}, func() error {
		again, err := driver.Changes(id, base)
		if err == nil && len(again) != len(list) {
			err = fmt.Errorf("%d changes, not %d", len(again), len(list))
		}
		return err
	})
}

// What apply and diff cost at the least; see floor.cc.
func (l *layers) runFloor(r *results) error {
	directory := filepath.Join(*home, "floor")
	defer os.RemoveAll(directory)
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	c := &contestant{name: "floor", home: directory}
	diff := []string{"diff", directory}
	for _, step := range []struct {
		what string // nothing: only to have it in the page cache
		args []string
	}{{"apply", []string{"apply", l.tree.path, directory}}, {"", diff}, {"diff", diff}} {
		if err := settle(c); err != nil {
			return err
		}
		seconds, err := floorSeconds(step.args...)
		if err != nil {
			return err
		}
		if step.what != "" {
			r.add(l.name(step.what), "floor", seconds)
		}
	}
	return nil
}

func floorSeconds(args ...string) (float64, error) {
	text, err := exec.Command(*floor, args...).Output()
	if err != nil {
		return 0, fmt.Errorf("floor %v: %w", args, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// Containers come and go on an image of 20 layers.
type chains struct{ tops map[string]string }

const createToRemove = "create-get-put-remove-20"

func (*chains) cases() []string { return []string{createToRemove} }

func (h *chains) run(r *results, c *contestant) error {
	if h.tops == nil {
		h.tops = map[string]string{}
	}
	if h.tops[c.name] == "" {
		top, err := makeChain(c, 20)
		if err != nil {
			return err
		}
		h.tops[c.name] = top
	}
	if err := r.timeMean(createToRemove, c, 200, nothing, func() error { return createGetPutRemove(c, h.tops[c.name]) }); err != nil {
		return err
	}
	// Once a round, beside the first contestant.
	if c.name == "docker" {
		return runFloorOfLives(r)
	}
	return nil
}

func runFloorOfLives(r *results) error {
	directory := filepath.Join(*home, "floor-lives")
	defer os.RemoveAll(directory)
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	if err := settle(&contestant{name: "floor", home: directory}); err != nil {
		return err
	}
	seconds, err := floorSeconds("live", directory, "200")
	if err != nil {
		return err
	}
	r.add(createToRemove, "floor", seconds)
	return nil
}

func createGetPutRemove(c *contestant, parent string) error {
	id, err := c.newContainer(parent)
	if err != nil {
		return err
	}
	if _, err := c.driver.Get(id, ""); err != nil {
		return err
	}
	if err := c.driver.Put(id); err != nil {
		return err
	}
	return c.driver.Remove(id)
}

// makeChain returns the topmost of `depth` layers with a file each.
func makeChain(c *contestant, depth int) (string, error) {
	parent := ""
	for i := 0; i < depth; i++ {
		id, err := c.newLayer(parent)
		if err != nil {
			return "", err
		}
		if _, err := c.driver.ApplyDiff(id, parent, smallTar()); err != nil {
			return "", err
		}
		parent = id
	}
	return parent, nil
}

func smallTar() io.Reader {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o644, Size: 4})
	writer.Write([]byte("data"))
	writer.Close()
	return &buffer
}
