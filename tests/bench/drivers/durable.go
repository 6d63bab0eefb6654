// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"overlayd.test/socketplugin"
)

var durabilities = []string{"none", "strict", "syncfs"}

// compareDurabilities measures what it costs overlayd that a layer survives a power cut, in turns: an ApplyDiff
// alone; one while somebody else has written 800 MB that are not on the disk yet; a container's life.
func compareDurabilities(r *results, trees ...*tree) error {
	var names []string
	for _, durability := range durabilities {
		names = append(names, "apply-busy-"+durability, "create-get-put-remove-"+durability)
		for _, t := range trees {
			names = append(names, "apply-"+durability+"-"+t.name)
		}
	}
	if !r.wants(names...) {
		return nil
	}
	var all []*contestant
	for _, durability := range durabilities {
		s, err := startServer("durability-"+durability, overlaydWith(durability))
		if err != nil {
			return err
		}
		defer s.stop()
		root := filepath.Join(*home, "durability-"+durability)
		driver, err := newDriver(root, "overlayd", socketplugin.Getter{Socket: s.socket})
		if err != nil {
			return err
		}
		all = append(all, &contestant{name: "overlayd", driver: driver, home: filepath.Join(root, "overlayd")})
	}
	for round := 0; round < r.Rounds; round++ {
		for i := range all {
			at := (i + round) % len(all)
			if err := measureDurable(r, all[at], durabilities[at], trees); err != nil {
				return fmt.Errorf("durability %s: %w", durabilities[at], err)
			}
		}
		fmt.Fprintf(os.Stderr, "%s: durabilities, round %d of %d\n", *fs, round+1, r.Rounds)
	}
	return nil
}

func measureDurable(r *results, c *contestant, durability string, trees []*tree) error {
	base, err := c.newLayer("")
	if err != nil {
		return err
	}
	for _, t := range trees {
		if err := timeApply(r, "apply-"+durability+"-"+t.name, c, base, t, nothing); err != nil {
			return err
		}
		if err := floorOfApply(r, durability, t); err != nil {
			return err
		}
	}
	noise := filepath.Join(*home, "noise")
	makeNoise := func() error { return os.WriteFile(noise, make([]byte, 800<<20), 0o600) }
	if err := timeApply(r, "apply-busy-"+durability, c, base, trees[0], makeNoise); err != nil {
		return err
	}
	if err := os.RemoveAll(noise); err != nil {
		return err
	}
	life := func() error { return createGetPutRemove(c, base) }
	return r.timeMean("create-get-put-remove-"+durability, c, 200, nothing, life)
}

// What writing the layer back costs whoever wants it on the disk.
func floorOfApply(r *results, durability string, t *tree) error {
	how := map[string]string{"none": "apply", "strict": "apply-synced"}[durability]
	if how == "" {
		return nil
	}
	directory := filepath.Join(*home, "floor-durable")
	defer os.RemoveAll(directory)
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	if err := settle(&contestant{name: "floor", home: directory}); err != nil {
		return err
	}
	seconds, err := floorSeconds(how, t.path, directory)
	if err != nil {
		return err
	}
	r.add("apply-"+durability+"-"+t.name, "floor", seconds)
	return nil
}

func timeApply(r *results, name string, c *contestant, base string, t *tree, before func() error) error {
	id, err := c.newLayer(base)
	if err != nil {
		return err
	}
	apply := func() error { _, err := c.driver.ApplyDiff(id, base, t.reader()); return err }
	if err := r.timeMean(name, c, 1, before, apply); err != nil {
		return err
	}
	return c.driver.Remove(id)
}
