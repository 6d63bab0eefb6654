// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"overlayd.test/socketplugin"
)

// What only overlayd is measured in, once: system calls, memory, large stores. Each with a process of its
// own, as what came before shows in all of them.
func alone(r *results, t *tree) error {
	for _, measurement := range []struct {
		cases []string
		run   func(*results, *contestant, *server, *tree) error
	}{
		{[]string{"calls-apply", "calls-diff"}, countCalls},
		{[]string{"memory-streams"}, peakMemory},
		{[]string{"memory-growth"}, memoryGrowth},
		{[]string{"mount-500"}, mountDeep},
		{[]string{"exists-store", "get-put-store", "start-store"}, largeStore},
	} {
		if !r.wants(measurement.cases...) {
			continue
		}
		if err := withOverlayd(measurement.cases[0], func(c *contestant, s *server) error {
			return measurement.run(r, c, s, t)
		}); err != nil {
			return fmt.Errorf("%v: %w", measurement.cases, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", *fs, measurement.cases[0])
	}
	return nil
}

func withOverlayd(name string, work func(*contestant, *server) error) error {
	s, err := startServer(name, overlaydCommand)
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	root := filepath.Join(*home, name)
	driver, err := newDriver(root, "overlayd", socketplugin.Getter{Socket: s.socket})
	if err != nil {
		return err
	}
	if err := work(&contestant{name: "overlayd", driver: driver, home: filepath.Join(root, "overlayd")}, s); err != nil {
		return err
	}
	return driver.Cleanup()
}

// --- system calls for each entry of a layer --------------------------------------------------------

func countCalls(r *results, c *contestant, s *server, t *tree) error {
	id, err := c.newLayer("")
	if err != nil {
		return err
	}
	calls, err := tracing(s, "calls-apply", func() error { _, err := c.driver.ApplyDiff(id, "", t.reader()); return err })
	if err != nil {
		return err
	}
	r.add("calls-apply", c.name, float64(calls)/float64(t.entries))
	calls, err = tracing(s, "calls-diff", func() error {
		stream, err := c.driver.Diff(id, "")
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(io.Discard, stream)
		return err
	})
	r.add("calls-diff", c.name, float64(calls)/float64(t.entries))
	return err
}

// tracing counts the system calls that the server makes meanwhile. Which ones is kept beside the results.
func tracing(s *server, name string, work func() error) (int, error) {
	summary := filepath.Join(filepath.Dir(*output), *fs+"-"+name+".strace")
	strace := exec.Command("strace", "-f", "-c", "-U", "calls,name", "-o", summary, "-p", strconv.Itoa(s.Process.Pid))
	said, err := strace.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := strace.Start(); err != nil {
		return 0, err
	}
	// "Process 17 attached with 4 threads"
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.Contains(line, "attached") {
		strace.Wait()
		return 0, fmt.Errorf("strace says %q", line)
	}
	err = work()
	strace.Process.Signal(unix.SIGINT)
	io.Copy(io.Discard, said)
	strace.Wait()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		return 0, err
	}
	// The last line is "  123456 total".
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) != 2 || fields[1] != "total" {
		return 0, fmt.Errorf("no total in strace's summary:\n%s", text)
	}
	return strconv.Atoi(fields[0])
}

// --- memory ----------------------------------------------------------------------------------------

const streams = 16

// Sixteen applies and sixteen diffs of a gigabyte at a time. The applied tars name the same files again
// and again, so that a gigabyte on the way is 64 MB on disk.
func peakMemory(r *results, c *contestant, s *server, _ *tree) error {
	const files, size, times = 64, 1 << 20, 16
	source, err := c.newLayer("")
	if err != nil {
		return err
	}
	root, err := c.driver.Get(source, "")
	if err != nil {
		return err
	}
	data := filler(newRandom(1))[:size]
	for i := 0; i < files*times; i++ {
		if err := os.WriteFile(filepath.Join(root.Path(), fmt.Sprint("file-", i)), data, 0o644); err != nil {
			return err
		}
	}
	var work []func() error
	for i := 0; i < streams; i++ {
		id, err := c.newLayer("")
		if err != nil {
			return err
		}
		work = append(work, func() error {
			_, err := c.driver.ApplyDiff(id, "", repeatedTar(files, times, data))
			return err
		}, func() error {
			stream, err := c.driver.Diff(source, "")
			if err != nil {
				return err
			}
			defer stream.Close()
			_, err = io.Copy(io.Discard, stream)
			return err
		})
	}
	if err := atOnce(work); err != nil {
		return err
	}
	peak, err := memory(s, "VmHWM")
	r.add("memory-streams", c.name, peak)
	return err
}

func repeatedTar(files, times int, data []byte) io.Reader {
	reader, out := io.Pipe()
	go func() {
		writer := tar.NewWriter(out)
		for i := 0; i < files*times; i++ {
			header := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("file-", i%files), Mode: 0o644, Size: int64(len(data))}
			if err := writer.WriteHeader(header); err != nil {
				out.CloseWithError(err)
				return
			}
			if _, err := writer.Write(data); err != nil {
				out.CloseWithError(err)
				return
			}
		}
		out.CloseWithError(writer.Close())
	}()
	return reader
}

func atOnce(work []func() error) error {
	var group sync.WaitGroup
	errors := make([]error, len(work))
	for i := range work {
		i := i
		group.Add(1)
		go func() {
			defer group.Done()
			errors[i] = work[i]()
		}()
	}
	group.Wait()
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

// In MiB; `field` is one of /proc/PID/status.
func memory(s *server, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		var kib float64
		if _, err := fmt.Sscanf(string(line), field+": %f kB", &kib); err == nil {
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", field, s.Process.Pid)
}

// What 10,000 operations add to what the first thousand left.
func memoryGrowth(r *results, c *contestant, s *server, _ *tree) error {
	top, err := makeChain(c, 3)
	if err != nil {
		return err
	}
	var before float64
	for i := 0; i < 2750; i++ { // of four operations each
		if i == 250 {
			if before, err = memory(s, "VmRSS"); err != nil {
				return err
			}
		}
		if err := createGetPutRemove(c, top); err != nil {
			return err
		}
	}
	after, err := memory(s, "VmRSS")
	r.add("memory-growth", c.name, after-before)
	return err
}

// --- large stores ----------------------------------------------------------------------------------

func mountDeep(r *results, c *contestant, _ *server, _ *tree) error {
	top, err := makeChain(c, 500)
	if err != nil {
		return err
	}
	id, err := c.newContainer(top)
	if err != nil {
		return err
	}
	for i := 0; i < 20; i++ {
		// Not the mount that was there before, nor its end.
		if err := c.driver.Cleanup(); err != nil {
			return err
		}
		began := time.Now()
		if _, err := c.driver.Get(id, ""); err != nil {
			return err
		}
		r.add("mount-500", c.name, time.Since(began).Seconds())
		if err := c.driver.Put(id); err != nil {
			return err
		}
	}
	return nil
}

// A store of 10,000 layers, images of ten.
func largeStore(r *results, c *contestant, s *server, _ *tree) error {
	var id, parent string
	for i := 0; i < 10000; i++ {
		if i%10 == 0 {
			parent = ""
		}
		var err error
		if id, err = c.newLayer(parent); err != nil {
			return err
		}
		parent = id
	}
	exists := func() error {
		if !c.driver.Exists(id) {
			return fmt.Errorf("layer %s is gone", id)
		}
		return nil
	}
	if err := r.timeMean("exists-store", c, 2000, nothing, exists); err != nil {
		return err
	}
	getPut := func() error {
		if _, err := c.driver.Get(id, ""); err != nil {
			return err
		}
		return c.driver.Put(id)
	}
	if err := r.timeMean("get-put-store", c, 200, nothing, getPut); err != nil {
		return err
	}
	for i := 0; i < 5; i++ {
		s.stop()
		began := time.Now()
		next, err := startServer("exists-store", overlaydCommand)
		if err != nil {
			return err
		}
		*s = *next
		if err := exists(); err != nil {
			return err
		}
		r.add("start-store", c.name, time.Since(began).Seconds())
	}
	return nil
}
