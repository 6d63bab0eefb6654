// SPDX-License-Identifier: Apache-2.0

// The drivers' benchmark: Docker's own overlay2 in this process, the same driver behind a Go plugin, and
// overlayd, all through Docker's graph driver interface and its plugin client, in turns; and for apply and
// diff a program that makes only the system calls it must. Run by ../run.sh, which makes the file system.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/docker/docker/pkg/reexec"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

var (
	home     = flag.String("home", "", "an empty directory on the file system to measure on")
	scratch  = flag.String("scratch", "", "a directory in memory for tars, sockets and logs")
	overlayd = flag.String("overlayd", "", "the overlayd program")
	floor    = flag.String("floor", "", "the floor program")
	output   = flag.String("output", "", "the file that gets the results, as JSON")
	fs       = flag.String("fs", "", "what the results say the file system is")
	rounds   = flag.Int("rounds", 5, "how often each case is measured")
	filter   = flag.String("filter", "", "only cases that match this regular expression")
	serve    = flag.String("serve", "", "be the Go plugin on this socket instead")
)

func main() {
	// Docker's driver unpacks in a child process, which is this program again.
	if reexec.Init() {
		return
	}
	testing.Init()
	flag.Parse()
	unix.Umask(0)
	logrus.SetLevel(logrus.ErrorLevel)
	var err error
	if *serve != "" {
		err = servePlugin(*serve)
	} else {
		err = measure()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure() error {
	pattern, err := regexp.Compile(*filter)
	if err != nil {
		return err
	}
	r := &results{FS: *fs, Rounds: *rounds, filter: pattern, Samples: map[string]map[string][]float64{}}
	if r.Load, err = loadAverage(); err != nil {
		return err
	}
	if r.Load >= 1 {
		fmt.Fprintf(os.Stderr, "the machine is busy (load %.1f): what follows will say little\n", r.Load)
	}
	if err := os.MkdirAll(filepath.Dir(*output), 0o755); err != nil {
		return err
	}
	small, err := makeTree(*scratch, "10k", 10000, 85<<20)
	if err != nil {
		return err
	}
	large, err := makeTree(*scratch, "32k", 32000, 630<<20)
	if err != nil {
		return err
	}
	group := []bench{dockersOwn{}, &layers{tree: small}, &layers{tree: large}, &chains{}}
	if err := inTurns(r, group); err != nil {
		return err
	}
	if err := compareDurabilities(r, small, large); err != nil {
		return err
	}
	if err := alone(r, small); err != nil {
		return err
	}
	if len(r.Samples) == 0 {
		return fmt.Errorf("no case matches %q", *filter)
	}
	return r.write(*output)
}

// A bench is some cases that go together. It keeps what it made for a contestant from round to round.
type bench interface {
	cases() []string
	run(r *results, c *contestant) error
}

// inTurns runs each bench on every contestant, round after round, another one first each time, so that
// what disturbs the machine disturbs all alike.
func inTurns(r *results, benches []bench) error {
	var chosen []bench
	for _, b := range benches {
		if r.wants(b.cases()...) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	contestants, stop, err := startContestants(filepath.Join(*home, "drivers"))
	defer stop()
	if err != nil {
		return err
	}
	for round := 0; round < *rounds; round++ {
		for _, b := range chosen {
			for i := range contestants {
				c := contestants[(i+round)%len(contestants)]
				if err := b.run(r, c); err != nil {
					return fmt.Errorf("round %d, %s, one of %v: %w", round+1, c.name, b.cases(), err)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", *fs, round+1, *rounds)
	}
	return nil
}
