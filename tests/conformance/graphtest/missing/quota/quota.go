// SPDX-License-Identifier: Apache-2.0

// Package quota stands in for Docker's quota package, which Debian does not package. Only the quota test
// uses it, and only this name.
package quota

import "errors"

var ErrQuotaNotSupported = errors.New("Filesystem does not support, or has not enabled quotas")
