// SPDX-License-Identifier: Apache-2.0

// Package quota stands in for Docker's quota package, which Debian does not package. Docker's overlay2
// driver and its quota tests compile against these names; quotas exist on xfs only and no test here uses
// them.
package quota

import "errors"

var ErrQuotaNotSupported = errors.New("Filesystem does not support, or has not enabled quotas")

type Quota struct{ Size uint64 }

type Control struct{}

func NewControl(string) (*Control, error) { return nil, ErrQuotaNotSupported }

func (*Control) SetQuota(string, Quota) error { return ErrQuotaNotSupported }
