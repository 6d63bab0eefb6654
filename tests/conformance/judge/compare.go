// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Copies of the history, made from tars.
type chains struct {
	dockersTar []string // Docker's tars, applied by overlayd
	ourTar     []string // overlayd's tars, applied by Docker
	ownTar     []string // overlayd's tars, applied by overlayd
}

func last(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func (h *history) tree(s side, id string) (tree, error) {
	mount, err := s.driver.Get(id, "")
	if err != nil {
		return nil, fmt.Errorf("Get on %s: %w", s.name, err)
	}
	defer s.driver.Put(id)
	t, err := readTree(mount.Path())
	if err != nil {
		return nil, fmt.Errorf("reading a tree of %s: %w", s.name, err)
	}
	return t, nil
}

func (h *history) compareLayer(facts *tarFacts, copies *chains) error {
	i := len(h.layers) - 1
	id, parent := h.layers[i], h.ancestor(i-1)

	docker, err := h.tree(h.docker, id)
	if err != nil {
		return err
	}
	ours, err := h.tree(h.ours, id)
	if err != nil {
		return err
	}
	h.compareTrees(docker, ours, difference{where: inTrees, facts: facts})
	if h.ended || len(h.failures) > 0 {
		return nil
	}
	if err := h.compareChanges(id, parent, facts, docker); err != nil {
		return err
	}
	dockersTar, ourTar, err := h.compareDiff(id, parent, inDiff, facts)
	if err != nil || h.ended || len(h.failures) > 0 {
		return err
	}
	size, err := h.compareSize(id, parent, ourTar)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what    string
		ids     *[]string
		tar     []byte
		from    side
		by      side
		against tree
	}{
		{"x", &copies.dockersTar, dockersTar, h.docker, h.ours, docker},
		{"y", &copies.ourTar, ourTar, h.ours, h.docker, ours},
		{"z", &copies.ownTar, ourTar, h.ours, h.ours, ours},
	} {
		copied, copiedSize, err := h.copy(id+c.what, last(*c.ids), c.tar, c.by)
		if err != nil {
			h.report(h.asApplyFailure(c.from, c.by, err, parent))
			continue
		}
		*c.ids = append(*c.ids, id+c.what)
		h.comparisons++
		if copiedSize != size {
			h.fail("ApplyDiff of %s's tar on %s returns %d, DiffSize of its source is %d", c.from.name, c.by.name, copiedSize, size)
		}
		h.compareCopy(c.against, copied, c.from, c.by, false)
	}
	if len(h.failures) > 0 {
		return nil
	}
	again, err := h.work.diff(h.ours, last(copies.ownTar), ancestorOf(copies.ownTar))
	if err != nil {
		return err
	}
	h.sameStream("Diff of what was made from a Diff", ourTar, again)
	if i == 0 {
		return nil
	}
	return h.compareAncestors(i, docker, ours)
}

func ancestorOf(ids []string) string { return last(ids[:len(ids)-1]) }

func (h *history) asApplyFailure(from, by side, err error, parent string) difference {
	d := difference{where: inApply, tarFrom: from.name, appliedBy: by.name, parent: parent}
	text := fmt.Sprintf("%s's tar: %v", from.name, err)
	if by.name == h.docker.name {
		d.docker = text
	} else {
		d.ours = text
	}
	return d
}

// copy applies a tar to a new layer on parent.
func (h *history) copy(id, parent string, tar []byte, by side) (tree, int64, error) {
	if err := h.work.create(by, id, parent); err != nil {
		return nil, 0, err
	}
	size, err := by.driver.ApplyDiff(id, parent, bytes.NewReader(tar))
	if err != nil {
		return nil, 0, fmt.Errorf("ApplyDiff: %w", err)
	}
	t, err := h.tree(by, id)
	return t, size, err
}

func (h *history) compareCopy(source, copied tree, from, by side, squashed bool) {
	d := difference{where: inCopy, tarFrom: from.name, appliedBy: by.name, squashed: squashed}
	if by.name == h.docker.name {
		h.compareTrees(copied, source, d)
	} else {
		h.compareTrees(source, copied, d)
	}
}

// compareTrees: the first is Docker's. What else the difference says is the same for all of them.
func (h *history) compareTrees(docker, ours tree, d difference) {
	h.comparisons++
	d.blocks = docker.blockDevices()
	for _, at := range unionOfKeys(docker, ours) {
		d := d
		d.path = at
		a, b := docker[at], ours[at]
		switch {
		case a == nil:
			d.field, d.docker, d.ours = "type", "", b.fields["type"]
			h.report(d)
		case b == nil:
			d.field, d.docker, d.ours = "type", a.fields["type"], ""
			h.report(d)
		default:
			d.isDir = a.isDir()
			h.compareFields(a.fields, b.fields, d)
		}
	}
}

func (h *history) compareFields(docker, ours map[string]string, d difference) {
	if docker["type"] != ours["type"] {
		d.field, d.docker, d.ours = "type", docker["type"], ours["type"]
		h.report(d)
		return
	}
	for _, field := range unionOfKeys(docker, ours) {
		if docker[field] != ours[field] {
			d.field, d.docker, d.ours = field, docker[field], ours[field]
			h.report(d)
		}
	}
}

func (h *history) compareChanges(id, parent string, facts *tarFacts, layer tree) error {
	parents := []string{parent}
	if parent != "" {
		parents = append(parents, "")
	}
	for _, parent := range parents {
		var lists [2]map[string]string
		for k, s := range h.sides() {
			changes, err := s.driver.Changes(id, parent)
			if err != nil {
				return fmt.Errorf("Changes on %s: %w", s.name, err)
			}
			lists[k] = map[string]string{}
			for _, change := range changes {
				lists[k][asJSON(change.Path)] += change.Kind.String()
			}
		}
		h.comparisons++
		h.compareChangeLists(lists[0], lists[1], layer, difference{where: inChanges, parent: parent, facts: facts, inLowest: len(h.layers) == 1})
	}
	return nil
}

func (h *history) compareChangeLists(docker, ours map[string]string, layer tree, d difference) {
	for _, at := range unionOfKeys(docker, ours) {
		if docker[at] == ours[at] {
			continue
		}
		d := d
		d.path, d.field, d.docker, d.ours = at, "kind", docker[at], ours[at]
		d.blocks = layer.blockDevices()
		h.report(d)
	}
}

// asJSON is what a name looks like after a passage through JSON, as all names of a plugin have had.
func asJSON(name string) string {
	encoded, err := json.Marshal(name)
	if err == nil {
		err = json.Unmarshal(encoded, &name)
	}
	if err != nil {
		panic(err)
	}
	return name
}

// compareDiff returns both tars.
func (h *history) compareDiff(id, parent, where string, facts *tarFacts) (docker, ours []byte, err error) {
	if docker, err = h.work.diff(h.docker, id, parent); err != nil {
		return nil, nil, fmt.Errorf("Diff on Docker: %w", err)
	}
	if ours, err = h.work.diff(h.ours, id, parent); err != nil {
		return nil, nil, fmt.Errorf("Diff on overlayd: %w", err)
	}
	ourMembers, err := h.examineStream(id, parent, ours)
	if err != nil {
		return nil, nil, err
	}
	dockersMembers, err := readTar(docker)
	if err != nil {
		return nil, nil, fmt.Errorf("Docker's own tar: %w", err)
	}
	h.comparisons++
	h.compareMembers(dockersMembers, ourMembers, difference{where: where, facts: facts, parent: parent})
	return docker, ours, nil
}

// examineStream: a tar must come out the same again, and be what Go writes.
func (h *history) examineStream(id, parent string, stream []byte) ([]*member, error) {
	members, err := readTar(stream)
	if err != nil {
		return nil, fmt.Errorf("overlayd's tar: %w", err)
	}
	written, err := reencode(members)
	if err != nil {
		return nil, fmt.Errorf("overlayd's tar, written by Go: %w", err)
	}
	h.sameStream("Diff written by Go", stream, written)
	again, err := h.work.diff(h.ours, id, parent)
	if err != nil {
		return nil, fmt.Errorf("Diff on overlayd again: %w", err)
	}
	h.sameStream("Diff again", stream, again)
	return members, nil
}

func (h *history) sameStream(what string, first, second []byte) {
	h.comparisons++
	if offset, same := sameBytes(first, second); !same {
		h.fail("%s: differs from the Diff at byte %d (sizes %d and %d)", what, offset, len(first), len(second))
	}
}

// compareMembers goes through both tars in order. A member that only one has is reported as such.
func (h *history) compareMembers(docker, ours []*member, d difference) {
	for len(docker) > 0 || len(ours) > 0 {
		d := d
		switch {
		case len(docker) > 0 && len(ours) > 0 && docker[0].header.Name == ours[0].header.Name:
			d.path, d.isLink = docker[0].header.Name, docker[0].fields["type"] == "1"
			h.compareFields(docker[0].fields, ours[0].fields, d)
			docker, ours = docker[1:], ours[1:]
		case len(ours) > 0 && (len(docker) == 0 || !hasMember(ours, docker[0].header.Name) || !hasMember(docker, ours[0].header.Name)) &&
			!hasMember(docker, ours[0].header.Name):
			d.path, d.field, d.ours = ours[0].header.Name, "member", "it"
			h.report(d)
			ours = ours[1:]
		case len(docker) > 0 && !hasMember(ours, docker[0].header.Name):
			d.path, d.field, d.docker = docker[0].header.Name, "member", "it"
			h.report(d)
			docker = docker[1:]
		default:
			h.fail("%s: Docker has %q where overlayd has %q", d.where, docker[0].header.Name, ours[0].header.Name)
			return
		}
	}
}

func hasMember(members []*member, name string) bool {
	for _, m := range members {
		if m.header.Name == name {
			return true
		}
	}
	return false
}

// compareSize checks DiffSize on both sides and against what the tar has, and returns it.
func (h *history) compareSize(id, parent string, ourTar []byte) (int64, error) {
	docker, err := h.docker.driver.DiffSize(id, parent)
	if err != nil {
		return 0, fmt.Errorf("DiffSize on Docker: %w", err)
	}
	ours, err := h.ours.driver.DiffSize(id, parent)
	if err != nil {
		return 0, fmt.Errorf("DiffSize on overlayd: %w", err)
	}
	members, err := readTar(ourTar)
	if err != nil {
		return 0, err
	}
	h.comparisons += 2
	if carried := bytesIn(members, nil); carried != ours {
		h.fail("DiffSize of overlayd is %d, its Diff carries %d", ours, carried)
	}
	if docker == ours {
		return ours, nil
	}
	// Docker sums up what its Changes list: a file that is in the layer, but looks the same as below, is in
	// overlayd's tar and size only.
	changes, err := h.docker.driver.Changes(id, parent)
	if err != nil {
		return 0, err
	}
	listed := map[string]bool{}
	for _, change := range changes {
		listed[strings.TrimPrefix(change.Path, "/")] = true
	}
	d := difference{where: inSize, field: "size", docker: fmt.Sprint(docker), ours: fmt.Sprint(ours), parent: parent}
	if parent != "" && parent != h.ancestor(len(h.layers)-2) && bytesIn(members, listed) == docker {
		h.improved["DiffSize is that of the Diff"]++
		return ours, nil
	}
	h.report(d)
	return ours, nil
}

// bytesIn sums up the members with data, each inode once; only those that have a listed name, if a list is
// given.
func bytesIn(members []*member, listed map[string]bool) int64 {
	names := map[string][]string{}
	size := map[string]int64{}
	for _, m := range members {
		switch m.fields["type"] {
		case "0":
			size[m.name()] = m.header.Size
			names[m.name()] = append(names[m.name()], m.name())
		case "1":
			names[m.header.Linkname] = append(names[m.header.Linkname], m.name())
		case "2":
			size[m.name()] = int64(len(m.header.Linkname))
			names[m.name()] = append(names[m.name()], m.name())
		}
	}
	var sum int64
	for first, bytes := range size {
		for _, name := range names[first] {
			if listed == nil || listed[name] {
				sum += bytes
				break
			}
		}
	}
	return sum
}

// compareAncestors: the whole file system, and all that came after an older layer, which Docker finds out
// by comparing mounts.
func (h *history) compareAncestors(i int, docker, ours tree) error {
	bases := []int{-1}
	if i >= 2 {
		bases = append(bases, h.author.Intn(i-1))
	}
	for _, base := range bases {
		if err := h.compareAncestor(i, base, docker, ours); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) compareAncestor(i, base int, docker, ours tree) error {
	id, ancestor := h.layers[i], h.ancestor(base)
	dockersTar, err := h.work.diff(h.docker, id, ancestor)
	if err != nil {
		return fmt.Errorf("Diff on Docker: %w", err)
	}
	ourTar, err := h.work.diff(h.ours, id, ancestor)
	if err != nil {
		return fmt.Errorf("Diff on overlayd: %w", err)
	}
	ourMembers, err := h.examineStream(id, ancestor, ourTar)
	if err != nil {
		return err
	}
	if ancestor == "" {
		dockersMembers, err := readTar(dockersTar)
		if err != nil {
			return err
		}
		h.comparisons++
		h.compareMembers(dockersMembers, ourMembers, difference{where: inWholeDiff})
	}
	if _, err := h.compareSize(id, ancestor, ourTar); err != nil {
		return err
	}
	for _, c := range []struct {
		what     string
		tar      []byte
		from, by side
		against  tree
	}{
		{"x", dockersTar, h.docker, h.ours, docker},
		{"y", ourTar, h.ours, h.docker, ours},
		{"z", ourTar, h.ours, h.ours, ours},
	} {
		copied, _, err := h.copy(fmt.Sprintf("%s-on%d-%s", id, base, c.what), ancestor, c.tar, c.by)
		if err != nil {
			d := h.asApplyFailure(c.from, c.by, err, ancestor)
			d.squashed, d.blocks = true, c.against.blockDevices()
			h.report(d)
			continue
		}
		h.compareCopy(c.against, copied, c.from, c.by, true)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func unionOfKeys[V any](a, b map[string]V) []string {
	union := map[string]bool{}
	for key := range a {
		union[key] = true
	}
	for key := range b {
		union[key] = true
	}
	return sortedKeys(union)
}
