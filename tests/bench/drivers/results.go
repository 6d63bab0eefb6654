// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Samples by case and contestant. Times are in seconds, the rest is in the unit that targets.json names.
type results struct {
	FS      string
	Rounds  int
	Load    float64 // of the machine, before
	Samples map[string]map[string][]float64
	filter  *regexp.Regexp
}

func (r *results) wants(cases ...string) bool {
	for _, name := range cases {
		if r.filter.MatchString(name) {
			return true
		}
	}
	return false
}

func (r *results) add(name, contestant string, value float64) {
	if !r.wants(name) {
		return
	}
	if r.Samples[name] == nil {
		r.Samples[name] = map[string][]float64{}
	}
	r.Samples[name][contestant] = append(r.Samples[name][contestant], value)
}

// time runs work and notes how long it took, starting from rest: nothing to write back or to delete.
func (r *results) time(name string, c *contestant, work func() error) error {
	if err := settle(c); err != nil {
		return err
	}
	began := time.Now()
	err := work()
	r.add(name, c.name, time.Since(began).Seconds())
	return err
}

// For calls too short to be timed once. `before` is not timed.
func (r *results) timeMean(name string, c *contestant, times int, before, work func() error) error {
	if err := settle(c); err != nil {
		return err
	}
	var sum time.Duration
	for i := 0; i < times; i++ {
		if err := before(); err != nil {
			return err
		}
		began := time.Now()
		if err := work(); err != nil {
			return err
		}
		sum += time.Since(began)
	}
	r.add(name, c.name, sum.Seconds()/float64(times))
	return nil
}

func loadAverage() (load float64, err error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &load)
	}
	return load, err
}

func nothing() error { return nil }

func settle(c *contestant) error {
	for deadline := time.Now().Add(time.Minute); !c.trashIsEmpty(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return &os.PathError{Op: "wait for", Path: c.trash(), Err: os.ErrDeadlineExceeded}
		}
	}
	runtime.GC()
	directory, err := os.Open(*home)
	if err != nil {
		return err
	}
	defer directory.Close()
	return unix.Syncfs(int(directory.Fd()))
}

func (r *results) write(path string) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	text, err := json.MarshalIndent(struct {
		Kernel     string
		Processors int
		Date       string
		*results
	}{unix.ByteSliceToString(name.Release[:]), runtime.NumCPU(), time.Now().Format("2006-01-02"), r}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
