// SPDX-License-Identifier: Apache-2.0
//
// What a service manager is told about this process, by the protocol that sd_notify(3) describes: a
// datagram to the socket that NOTIFY_SOCKET in the environment names, with VARIABLE=VALUE lines;
// and what it tells: that a descriptor is its journal (systemd.exec(5), JOURNAL_STREAM).
#pragma once

#include <string_view>

namespace overlayd {

/// Sends `state`; does nothing where there is no NOTIFY_SOCKET. Throws SysError when it cannot be
/// sent, Error(InvalidArgument) when NOTIFY_SOCKET is no name that a Unix socket can have.
void tell_service_manager(std::string_view state);

/// Whether JOURNAL_STREAM in the environment names what `fd` is open on.
bool is_journal(int fd);

}  // namespace overlayd
