// SPDX-License-Identifier: Apache-2.0

// Package v2 stands in for Docker's plugin/v2, which Debian does not package. Looking up a driver asks
// whether it got a managed plugin; the one under test never is.
package v2

import (
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/plugingetter"
)

type Plugin struct {
	plugingetter.CompatPlugin
	PluginObj types.Plugin
}
