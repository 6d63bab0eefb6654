// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/daemon/graphdriver"
	_ "github.com/docker/docker/daemon/graphdriver/overlay2"
	"github.com/docker/docker/pkg/idtools"
	"github.com/docker/docker/pkg/plugingetter"
	"github.com/docker/docker/pkg/stringid"
	"golang.org/x/sys/unix"

	"overlayd.test/socketplugin"
)

// A contestant is a driver with a home of its own.
type contestant struct {
	name   string
	driver graphdriver.Driver
	home   string
	// Docker's own benchmarks make drivers themselves, by the name they are registered under, and a plugin
	// serves one home at a time: they have servers of their own.
	registered string
}

func (c *contestant) trash() string { return filepath.Join(c.home, ".overlayd", "trash") }

// Only overlayd has a trash.
func (c *contestant) trashIsEmpty() bool {
	left, _ := os.ReadDir(c.trash())
	return len(left) == 0
}

func (c *contestant) newLayer(parent string) (string, error) {
	id := stringid.GenerateRandomID()
	return id, c.driver.Create(id, parent, nil)
}

func (c *contestant) newContainer(parent string) (string, error) {
	id := stringid.GenerateRandomID()
	return id, c.driver.CreateReadWrite(id, parent, nil)
}

// startContestants starts the servers; stop ends them, also after an error.
func startContestants(root string) (all []*contestant, stop func(), err error) {
	var servers []*server
	stop = func() {
		for _, s := range servers {
			s.stop()
		}
	}
	start := func(name string, command func(socket string) *exec.Cmd) (string, error) {
		s, err := startServer(name, command)
		if err != nil {
			return "", err
		}
		servers = append(servers, s)
		return s.socket, nil
	}
	docker, err := newDriver(filepath.Join(root, "docker"), "overlay2", nil)
	if err != nil {
		return nil, stop, err
	}
	all = append(all, &contestant{name: "docker", driver: docker, registered: "overlay2",
		home: filepath.Join(root, "docker", "overlay2")})
	for _, p := range []struct {
		name    string
		command func(string) *exec.Cmd
	}{{"plugin", pluginCommand}, {"overlayd", overlaydCommand}} {
		socket, err := start(p.name, p.command)
		if err != nil {
			return nil, stop, err
		}
		own, err := start(p.name+"-graphtest", p.command)
		if err != nil {
			return nil, stop, err
		}
		c := &contestant{name: p.name, registered: "bench-" + p.name, home: filepath.Join(root, p.name, p.name)}
		if c.driver, err = newDriver(filepath.Join(root, p.name), p.name, socketplugin.Getter{Socket: socket}); err != nil {
			return nil, stop, err
		}
		registerPlugin(c.registered, p.name, own)
		all = append(all, c)
	}
	floorSocket, err = start("floor", func(socket string) *exec.Cmd { return exec.Command(*floor, "answer", socket) })
	registerPlugin(floorPlugin, "floor", floorSocket)
	return all, stop, err
}

// The plugin that answers without doing anything.
const floorPlugin = "bench-floor"

var floorSocket string

func registerPlugin(registered, name, socket string) {
	graphdriver.Register(registered, func(root string, _ []string, _, _ []idtools.IDMap) (graphdriver.Driver, error) {
		return newDriver(root, name, socketplugin.Getter{Socket: socket})
	})
}

func newDriver(root, name string, getter plugingetter.PluginGetter) (graphdriver.Driver, error) {
	if err := os.MkdirAll(root, 0o711); err != nil {
		return nil, err
	}
	driver, err := graphdriver.GetDriver(name, getter, graphdriver.Options{Root: root, ExperimentalEnabled: true})
	if err != nil {
		return nil, fmt.Errorf("driver %s: %w", name, err)
	}
	return driver, nil
}

func pluginCommand(socket string) *exec.Cmd {
	return exec.Command("/proc/self/exe", "-serve", socket)
}

// As little durable as Docker's driver; what more costs is measured in durable.go.
func overlaydCommand(socket string) *exec.Cmd { return overlaydWith("none")(socket) }

func overlaydWith(durability string) func(socket string) *exec.Cmd {
	return func(socket string) *exec.Cmd {
		return exec.Command(*overlayd, "serve", "--socket", socket, "--state-dir", socket+".state",
			"--log-level", "warning", "--durability", durability)
	}
}

type server struct {
	*exec.Cmd
	socket string
}

// startServer returns when the server takes connections.
func startServer(name string, command func(socket string) *exec.Cmd) (*server, error) {
	socket := filepath.Join(*scratch, name+".sock")
	log, err := os.OpenFile(socket+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{command(socket), socket}
	s.Stdout, s.Stderr = log, log
	if err := os.MkdirAll(socket+".state", 0o700); err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			return s, connection.Close()
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("%s does not answer; see %s", name, log.Name())
		}
	}
}

func (s *server) stop() {
	s.Process.Signal(unix.SIGTERM)
	s.Wait()
}
