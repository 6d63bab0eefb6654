// SPDX-License-Identifier: Apache-2.0

// Package socketplugin is the part of Docker's plugin store that looking up a driver uses, for plugins known by
// nothing but a socket, as Docker sees a legacy plugin. The programs that import it lie among Docker's sources;
// see scripts/lib/docker-sources.sh.
package socketplugin

import (
	"fmt"

	"github.com/docker/docker/pkg/plugingetter"
	"github.com/docker/docker/pkg/plugins"
)

// Getter finds one plugin, whatever the name that is asked for.
type Getter struct {
	plugingetter.PluginGetter
	Socket string
	// Root is what to put in front of the plugin's paths to see them from here, if anything.
	Root string
	// Activate has the plugin asked first whether it is of the wanted kind, as engines ask.
	Activate bool
}

func (g Getter) Get(name, capability string, _ int) (plugingetter.CompatPlugin, error) {
	client, err := plugins.NewClient("unix://"+g.Socket, nil)
	if err == nil && g.Activate {
		err = activate(client, capability)
	}
	return plugin{name, g.Root, client}, err
}

func activate(client *plugins.Client, capability string) error {
	var manifest plugins.Manifest
	if err := client.Call("Plugin.Activate", nil, &manifest); err != nil {
		return err
	}
	for _, kind := range manifest.Implements {
		if kind == capability {
			return nil
		}
	}
	return fmt.Errorf("the plugin implements %v, not %s", manifest.Implements, capability)
}

type plugin struct {
	name, root string
	client     *plugins.Client
}

func (p plugin) Name() string                  { return p.name }
func (p plugin) ScopedPath(path string) string { return p.root + path }
func (plugin) IsV1() bool                      { return true }
func (p plugin) Client() *plugins.Client       { return p.client }
