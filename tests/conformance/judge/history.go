// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A history is one chain of layers on both sides, and everything that is compared about it.
type history struct {
	*bench
	seed   int64
	author *author
	work   workshop

	layers []string // ids, the lowest first
	log    []string // what was done in each layer, for who has to look at it

	comparisons int
	improved    map[string]int
	failures    []string
	ended       bool // by an improvement after which the two sides are not alike

	early map[string]bool // paths, as Changes has them, that had a time before 1970 in a layer
}

func newHistory(b *bench, seed int64) *history {
	return &history{
		bench: b, seed: seed, improved: map[string]int{}, early: map[string]bool{},
		author: &author{Rand: rand.New(rand.NewSource(seed)), mapped: b.mapped},
	}
}

func (h *history) run() {
	if err := h.build(); err != nil {
		h.fail("%v", err)
	}
	if err := h.work.clear(); err != nil {
		h.fail("%v", err)
	}
}

func (h *history) fail(format string, args ...interface{}) {
	if len(h.failures) < 6 {
		h.failures = append(h.failures, fmt.Sprintf("layer %d: ", len(h.layers)-1)+fmt.Sprintf(format, args...))
	}
}

// report takes a difference: either it is meant, or it is a failure.
func (h *history) report(d difference) {
	d.mapped = h.mapped
	d.early = h.early
	for _, improvement := range improvements {
		if improvement.explains(&d) {
			h.improved[improvement.name]++
			if improvement.name == earlyTimes {
				h.early[asJSON("/"+d.path)] = true
			}
			h.ended = h.ended || improvement.ends
			return
		}
	}
	h.fail("%s", d.String())
}

func (h *history) build() error {
	var copies chains
	for count := 1 + h.author.Intn(5); len(h.layers) < count; {
		facts, err := h.addLayer()
		if err != nil {
			return err
		}
		if len(h.failures) > 0 || h.ended {
			return nil
		}
		if err := h.compareLayer(facts, &copies); err != nil {
			return err
		}
		if len(h.layers) == 1 && facts != nil && len(facts.whiteouts) > 0 {
			// Docker shows them now and says later that they are deleted.
			h.ended = true
		}
		if len(h.failures) > 0 || h.ended {
			return nil
		}
	}
	return nil
}

func (h *history) id(i int) string { return fmt.Sprintf("s%d-%d", h.seed, i) }

// ancestor is the id of layer i, "" below the lowest.
func (h *history) ancestor(i int) string {
	if i < 0 {
		return ""
	}
	return h.layers[i]
}

// --- making layers ----------------------------------------------------------------------------------

func (h *history) addLayer() (*tarFacts, error) {
	i := len(h.layers)
	id, parent := h.id(i), h.ancestor(i-1)
	h.layers = append(h.layers, id)
	for _, s := range h.sides() {
		if err := h.work.create(s, id, parent); err != nil {
			return nil, err
		}
	}
	if h.author.chance(30) {
		return h.fillFromTar(id, parent)
	}
	return nil, h.fillThroughMounts(id, i)
}

func (h *history) fillThroughMounts(id string, layer int) error {
	h.log = append(h.log, fmt.Sprintf("layer %d, through the mounts:", layer))
	var roots [2]string
	for k, s := range h.sides() {
		mount, err := s.driver.Get(id, "")
		if err != nil {
			return fmt.Errorf("Get on %s: %w", s.name, err)
		}
		defer s.driver.Put(id)
		roots[k] = mount.Path()
	}
	for n := 3 + h.author.Intn(30); n > 0; n-- {
		action := h.author.action(roots[0])
		var results [2]string
		for k, root := range roots {
			results[k] = errnoText(action.run(root))
		}
		h.log = append(h.log, "  "+action.text+": "+results[0])
		if results[0] != results[1] {
			h.fail("%s: %s with Docker, %s with overlayd", action.text, results[0], results[1])
			return nil
		}
	}
	if err := settle(roots, layer, ""); err != nil {
		return err
	}
	for _, s := range h.sides() {
		if err := h.settleWhiteouts(s, id, layer); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) settleWhiteouts(s side, id string, layer int) error {
	data, err := s.driver.GetMetadata(id)
	if err != nil {
		return fmt.Errorf("GetMetadata on %s: %w", s.name, err)
	}
	return settleWhiteouts(data["UpperDir"], layer)
}

// errnoText leaves out the paths, which are not the same on both sides.
func errnoText(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	default:
		return err.Error()
	}
}

func (h *history) fillFromTar(id, parent string) (*tarFacts, error) {
	below := tree{}
	if parent != "" {
		var err error
		if below, err = h.tree(h.docker, parent); err != nil {
			return nil, err
		}
	}
	stream, facts, text, err := h.author.tarLayer(below)
	if err != nil {
		return nil, err
	}
	h.log = append(h.log, fmt.Sprintf("layer %d, from a tar:", len(h.layers)-1))
	h.log = append(h.log, text...)
	var results [2]string
	for k, s := range h.sides() {
		size, err := s.driver.ApplyDiff(id, parent, bytes.NewReader(stream))
		results[k] = fmt.Sprintf("applied %d bytes", size)
		if err != nil {
			results[k] = err.Error()
		}
	}
	h.comparisons++
	if bothRefused := !strings.HasPrefix(results[0], "applied") && !strings.HasPrefix(results[1], "applied"); bothRefused {
		h.improved["(tars that both refuse)"]++
		h.ended = true
	} else if results[0] != results[1] {
		h.report(difference{where: inApply, docker: results[0], ours: results[1], facts: &facts, parent: parent})
	}
	return &facts, nil
}
