// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/docker/docker/daemon/graphdriver"
	_ "github.com/docker/docker/daemon/graphdriver/overlay2"
	"github.com/docker/docker/pkg/idtools"

	"overlayd.test/socketplugin"
)

const pluginName = "overlayd"

// What `dockerd --userns-remap` uses: container ids 0-65535 are these host ids.
const (
	mapBase = 100000
	mapSize = 65536
)

// A side is one of the two drivers.
type side struct {
	name   string
	driver graphdriver.Driver
}

// Both drivers, with the same id maps. Layers of the same id are the same layer.
type bench struct {
	mapped       bool
	docker, ours side
}

func (b *bench) sides() []side { return []side{b.docker, b.ours} }

func newBench(root, socket string, mapped bool) (*bench, error) {
	options := graphdriver.Options{Root: filepath.Join(root, fmt.Sprintf("mapped-%v", mapped)), ExperimentalEnabled: true}
	if mapped {
		maps := []idtools.IDMap{{ContainerID: 0, HostID: mapBase, Size: mapSize}}
		options.UIDMaps, options.GIDMaps = maps, maps
	}
	if err := os.MkdirAll(options.Root, 0o711); err != nil {
		return nil, err
	}
	docker, err := graphdriver.GetDriver("overlay2", nil, options)
	if err != nil {
		return nil, fmt.Errorf("Docker's overlay2: %w", err)
	}
	for _, row := range docker.Status() {
		if row == [2]string{"Native Overlay Diff", "false"} {
			return nil, fmt.Errorf("Docker's overlay2 does not diff natively on this kernel, so it is no judge")
		}
	}
	ours, err := graphdriver.GetDriver(pluginName, socketplugin.Getter{Socket: socket}, options)
	if err != nil {
		return nil, fmt.Errorf("overlayd: %w", err)
	}
	return &bench{mapped: mapped, docker: side{"Docker", docker}, ours: side{"overlayd", ours}}, nil
}

// A workshop keeps what one history made, to take it apart at the end.
type workshop struct {
	made    []string
	madeOn  []side
	closing sync.WaitGroup
}

func (w *workshop) create(s side, id, parent string) error {
	if err := s.driver.CreateReadWrite(id, parent, nil); err != nil {
		return fmt.Errorf("Create on %s: %w", s.name, err)
	}
	w.made, w.madeOn = append(w.made, id), append(w.madeOn, s)
	return nil
}

// diff reads a whole tar. Docker's naive differ sleeps when it is closed, to the end of the second; that
// is done behind our back.
func (w *workshop) diff(s side, id, parent string) ([]byte, error) {
	stream, err := s.driver.Diff(id, parent)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(stream)
	w.closing.Add(1)
	go func() {
		defer w.closing.Done()
		stream.Close()
	}()
	return content, err
}

func (w *workshop) clear() error {
	w.closing.Wait()
	for i := len(w.made) - 1; i >= 0; i-- {
		if err := w.madeOn[i].driver.Remove(w.made[i]); err != nil {
			return fmt.Errorf("Remove of %s on %s: %w", w.made[i], w.madeOn[i].name, err)
		}
	}
	return nil
}
