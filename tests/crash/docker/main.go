// SPDX-License-Identifier: Apache-2.0

// Docker's overlay2 driver below the directory that is the first argument, for tests/crash/driver.cc: calls come in
// packets on descriptors 3 to 5, a line a word, and are answered with "ok" or an error.
package main

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/docker/docker/daemon/graphdriver"
	_ "github.com/docker/docker/daemon/graphdriver/overlay2"
	"github.com/docker/docker/pkg/reexec"
	"golang.org/x/sys/unix"
)

func main() {
	// Docker unpacks tars in a process of its own, which is this program again.
	if reexec.Init() {
		return
	}
	driver, err := graphdriver.GetDriver("overlay2", nil, graphdriver.Options{Root: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var channels sync.WaitGroup
	for fd := 3; fd <= 5; fd++ {
		unix.CloseOnExec(fd)
		channels.Add(1)
		go func(fd int) {
			defer channels.Done()
			serve(fd, driver)
		}(fd)
	}
	channels.Wait()
	if err := driver.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(fd int, driver graphdriver.Driver) {
	packet := make([]byte, 4096)
	for {
		length, err := unix.Read(fd, packet)
		if err == unix.EINTR {
			continue
		}
		if length <= 0 {
			return
		}
		answer := "ok"
		if err := call(driver, strings.Split(string(packet[:length]), "\n")); err != nil {
			answer = err.Error()
		}
		unix.Write(fd, []byte(answer))
	}
}

func call(driver graphdriver.Driver, words []string) error {
	switch words[0] {
	case "Create":
		return driver.Create(words[1], words[2], nil)
	case "CreateReadWrite":
		return driver.CreateReadWrite(words[1], words[2], nil)
	case "Remove":
		return driver.Remove(words[1])
	case "ApplyDiff":
		tar, err := os.Open(words[3])
		if err != nil {
			return err
		}
		defer tar.Close()
		_, err = driver.ApplyDiff(words[1], words[2], tar)
		return err
	}
	return fmt.Errorf("no call is named %q", words[0])
}
