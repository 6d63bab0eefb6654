// SPDX-License-Identifier: Apache-2.0

// Package graphtest runs the tests Docker's own storage drivers must pass (daemon/graphdriver/graphtest)
// against a plugin, through Docker's own plugin client. Environment:
//
//	PLUGIN_SOCKET  the plugin's unix socket
//	PLUGIN_ROOT    what to put in front of the plugin's paths to see them from here, if anything
//	TMPDIR         where the drivers' home directories are made; must be able to hold overlay layers
package graphtest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/daemon/graphdriver"
	"github.com/docker/docker/daemon/graphdriver/graphtest"
	"github.com/docker/docker/pkg/idtools"

	"overlayd.test/socketplugin"
)

// The tests know drivers by a registered name. The name the plugin is looked up by must be another one,
// because registered drivers win over plugins.
const (
	driverName = "plugin-under-test"
	pluginName = "overlayd"
)

func init() {
	graphdriver.Register(driverName, func(root string, options []string, uidMaps, gidMaps []idtools.IDMap) (graphdriver.Driver, error) {
		// The daemon's root directory is there when it looks for a driver.
		if err := os.MkdirAll(root, 0o711); err != nil {
			return nil, err
		}
		getter := socketplugin.Getter{
			Socket:   os.Getenv("PLUGIN_SOCKET"),
			Root:     os.Getenv("PLUGIN_ROOT"),
			Activate: true,
		}
		driver, err := graphdriver.GetDriver(pluginName, getter, graphdriver.Options{
			Root:                root,
			DriverOptions:       options,
			UIDMaps:             uidMaps,
			GIDMaps:             gidMaps,
			ExperimentalEnabled: true,
		})
		if err != nil {
			// A text of our own: the tests skip themselves, and so pass, on Docker's "not supported".
			return nil, fmt.Errorf("no driver (the cause is logged above): %v", err)
		}
		return driver, nil
	})
}

// --- Docker's tests. Setup and Teardown keep one driver for all of them, as its own suites do. ---

func TestSetup(t *testing.T)       { graphtest.GetDriver(t, driverName) }
func TestCreateEmpty(t *testing.T) { graphtest.DriverTestCreateEmpty(t, driverName) }
func TestCreateBase(t *testing.T)  { graphtest.DriverTestCreateBase(t, driverName) }
func TestCreateSnap(t *testing.T)  { graphtest.DriverTestCreateSnap(t, driverName) }

// 125 is what Docker's layer store allows, 128 what its overlay2 driver is tested with.
func Test125LayerRead(t *testing.T) { graphtest.DriverTestDeepLayerRead(t, 125, driverName) }
func Test128LayerRead(t *testing.T) { graphtest.DriverTestDeepLayerRead(t, 128, driverName) }

func TestDiffApply10Files(t *testing.T) { graphtest.DriverTestDiffApply(t, 10, driverName) }
func TestChanges(t *testing.T)          { graphtest.DriverTestChanges(t, driverName) }

// --- Ours, for what Docker's callers do but its tests do not. ---

// commit reads a layer's tar and feeds it to another layer at the same time.
func TestDiffFeedsApplyDiff(t *testing.T) {
	driver := graphtest.GetDriver(t, driverName)
	defer graphtest.PutDriver(t)
	must(t, driver.Create("pipe-source", "", nil))
	defer remove(t, driver, "pipe-source")
	write(t, driver, "pipe-source", "file", "through the pipe")

	must(t, driver.Create("pipe-target", "", nil))
	defer remove(t, driver, "pipe-target")
	tar, err := driver.Diff("pipe-source", "")
	must(t, err)
	size, err := driver.ApplyDiff("pipe-target", "", tar)
	must(t, err)
	must(t, tar.Close())
	if want := int64(len("through the pipe")); size != want {
		t.Errorf("ApplyDiff returned %d, want %d", size, want)
	}
	if got := read(t, driver, "pipe-target", "file"); got != "through the pipe" {
		t.Errorf("the copy reads %q", got)
	}
}

// Containers and `docker cp` hold one layer together.
func TestGetIsCounted(t *testing.T) {
	driver := graphtest.GetDriver(t, driverName)
	defer graphtest.PutDriver(t)
	must(t, driver.Create("counted-base", "", nil))
	defer remove(t, driver, "counted-base")
	must(t, driver.CreateReadWrite("counted", "counted-base", nil))
	defer remove(t, driver, "counted")

	first, err := driver.Get("counted", "")
	must(t, err)
	second, err := driver.Get("counted", "")
	must(t, err)
	if first.Path() != second.Path() {
		t.Errorf("Get returned %s, then %s", first.Path(), second.Path())
	}
	must(t, driver.Put("counted"))
	must(t, os.WriteFile(filepath.Join(first.Path(), "still-mounted"), []byte("yes"), 0o644))
	must(t, driver.Put("counted"))
	if got := read(t, driver, "counted", "still-mounted"); got != "yes" {
		t.Errorf("the file written between the two Puts reads %q", got)
	}
}

// What engines send after a crash: Put without Get, Remove of a held layer, Remove of nothing.
func TestUnevenCalls(t *testing.T) {
	driver := graphtest.GetDriver(t, driverName)
	defer graphtest.PutDriver(t)
	must(t, driver.Create("uneven-base", "", nil))
	must(t, driver.CreateReadWrite("uneven", "uneven-base", nil))
	must(t, driver.Put("uneven"))
	_, err := driver.Get("uneven", "")
	must(t, err)
	must(t, driver.Remove("uneven"))
	if driver.Exists("uneven") {
		t.Error("the layer is still there after Remove")
	}
	must(t, driver.Remove("uneven"))
	must(t, driver.Remove("uneven-base"))
}

func TestErrorsAreErrors(t *testing.T) {
	driver := graphtest.GetDriver(t, driverName)
	defer graphtest.PutDriver(t)
	if _, err := driver.Get("nobody", ""); err == nil {
		t.Error("Get of an unknown layer succeeded")
	}
	if err := driver.Create("child", "nobody", nil); err == nil {
		t.Error("Create on an unknown parent succeeded")
	}
	tar, err := driver.Diff("nobody", "")
	if err == nil {
		_, err = io.Copy(io.Discard, tar)
		_ = tar.Close()
	}
	if err == nil {
		t.Error("Diff of an unknown layer succeeded")
	}
	if _, err := driver.ApplyDiff("nobody", "", emptyTar{}); err == nil {
		t.Error("ApplyDiff to an unknown layer succeeded")
	}
}

// The deepest chain the driver says it takes, and one more. Docker itself stops at 125.
func TestLayerLimit(t *testing.T) {
	driver := graphtest.GetDriver(t, driverName)
	defer graphtest.PutDriver(t)
	limit := 0
	for _, row := range driver.Status() {
		if row[0] == "Layer Limit" {
			fmt.Sscan(row[1], &limit)
		}
	}
	if limit < 128 {
		t.Fatalf("the layer limit in the status is %d, want at least 128", limit)
	}
	must(t, driver.Create("depth-0", "", nil))
	write(t, driver, "depth-0", "lowest", "below everything")
	for depth := 1; depth <= limit; depth++ {
		must(t, driver.Create(fmt.Sprint("depth-", depth), fmt.Sprint("depth-", depth-1), nil))
	}
	top := fmt.Sprint("depth-", limit)
	if got := read(t, driver, top, "lowest"); got != "below everything" {
		t.Errorf("through %d layers the lowest file reads %q", limit, got)
	}
	if err := driver.Create("too-deep", top, nil); err == nil {
		t.Errorf("a layer on %d others was made", limit+1)
	}
	for depth := limit; depth >= 0; depth-- {
		remove(t, driver, fmt.Sprint("depth-", depth))
	}
}

func TestTeardown(t *testing.T) { graphtest.PutDriver(t) }

// emptyTar is a stream of no bytes, which Docker takes for an empty layer.
type emptyTar struct{}

func (emptyTar) Read([]byte) (int, error) { return 0, io.EOF }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, driver graphdriver.Driver, id string) {
	t.Helper()
	if err := driver.Remove(id); err != nil {
		t.Errorf("Remove(%s): %v", id, err)
	}
}

func write(t *testing.T, driver graphdriver.Driver, id, name, content string) {
	t.Helper()
	dir, err := driver.Get(id, "")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir.Path(), name), []byte(content), 0o644))
	must(t, driver.Put(id))
}

func read(t *testing.T, driver graphdriver.Driver, id, name string) string {
	t.Helper()
	dir, err := driver.Get(id, "")
	must(t, err)
	content, err := os.ReadFile(filepath.Join(dir.Path(), name))
	must(t, err)
	must(t, driver.Put(id))
	return string(content)
}
