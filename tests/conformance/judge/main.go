// SPDX-License-Identifier: Apache-2.0

// The judge makes random histories of layers, the same ones on Docker's own overlay2 driver and on overlayd
// behind Docker's plugin client, and compares everything that the two say about them. Every difference
// must be one of the improvements in improvements.go.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docker/docker/pkg/reexec"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

var (
	socket   = flag.String("socket", "", "overlayd's socket")
	home     = flag.String("home", "", "an empty directory that can hold overlay layers")
	seed     = flag.Int64("seed", 1, "the first seed; histories with odd seeds have id maps")
	count    = flag.Int64("count", 100, "how many histories")
	workers  = flag.Int("workers", 6, "how many at a time")
	withACLs = flag.Bool("acls", true, "put POSIX ACLs on files")
	verbose  = flag.Bool("v", false, "tell what each history did")
)

type totals struct {
	sync.Mutex
	passed, failed, layers, comparisons, cut int
	improved                                 map[string]int
}

func main() {
	// Docker's driver unpacks in a child process, which is this program again.
	if reexec.Init() {
		return
	}
	flag.Parse()
	unix.Umask(0)
	logrus.SetOutput(io.Discard)
	sum := totals{improved: map[string]int{}}
	began := time.Now()
	for _, mapped := range []bool{false, true} {
		if err := judge(mapped, &sum); err != nil {
			fmt.Println("judge:", err)
			os.Exit(1)
		}
	}
	sum.print(time.Since(began))
	if sum.failed > 0 || sum.passed == 0 {
		os.Exit(1)
	}
}

// judge runs the histories with or without id maps: both drivers take these once, when they start.
func judge(mapped bool, sum *totals) error {
	seeds := make(chan int64)
	bench, err := newBench(*home, *socket, mapped)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	for i := 0; i < *workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for seed := range seeds {
				h := newHistory(bench, seed)
				h.run()
				sum.add(h)
			}
		}()
	}
	for s := *seed; s < *seed+*count; s++ {
		if (s%2 != 0) == mapped {
			seeds <- s
		}
	}
	close(seeds)
	group.Wait()
	for _, s := range bench.sides() {
		if err := s.driver.Cleanup(); err != nil {
			return fmt.Errorf("Cleanup on %s: %w", s.name, err)
		}
	}
	return nil
}

func (sum *totals) add(h *history) {
	sum.Lock()
	defer sum.Unlock()
	sum.layers += len(h.layers)
	sum.comparisons += h.comparisons
	for name, count := range h.improved {
		sum.improved[name] += count
	}
	if h.ended {
		sum.cut++
	}
	if len(h.failures) == 0 {
		sum.passed++
	} else {
		sum.failed++
		fmt.Printf("--- FAIL: seed %d (id maps: %v; again: -seed %d -count 1 -v)\n", h.seed, h.mapped, h.seed)
		for _, failure := range h.failures {
			fmt.Println("   ", failure)
		}
	}
	if *verbose {
		fmt.Printf("seed %d:\n", h.seed)
		for _, line := range h.log {
			fmt.Println(line)
		}
	}
}

func (sum *totals) print(took time.Duration) {
	fmt.Printf("%d histories, %d layers, %d comparisons in %.0f s; %d histories ended at an improvement\n",
		sum.passed+sum.failed, sum.layers, sum.comparisons, took.Seconds(), sum.cut)
	for _, improvement := range improvements {
		if count := sum.improved[improvement.name]; count > 0 {
			fmt.Printf("%8d  %s (docs/layers.md, %s)\n", count, improvement.name, improvement.reference)
			delete(sum.improved, improvement.name)
		}
	}
	for _, name := range sortedKeys(sum.improved) {
		fmt.Printf("%8d  %s\n", sum.improved[name], name)
	}
	fmt.Printf("%d passed, %d failed\n", sum.passed, sum.failed)
}
