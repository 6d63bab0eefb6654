// SPDX-License-Identifier: Apache-2.0
//
// Whose fault an error is while a tar becomes files, and at which of its members.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include "core/error.h"

namespace overlayd {

struct TarMember {
  std::string name;
  uint64_t offset = 0;  ///< in the stream, of its first header block
};

/// "entry 'usr/bin/sh' at offset 512".
std::string to_string(const TarMember& member);

/// True for an errno that only a name, a target or a size in the tar can cause.
bool tells_of_tar(int errnum) noexcept;

/// Runs what is done for `member`. An Error leaving it names the member, and is BadArchive if it
/// tells of the tar.
template <std::invocable Work>
void blaming(const TarMember& member, Work&& work) {
  with_context([&] { return to_string(member); },
               [&] {
                 try {
                   std::forward<Work>(work)();
                 } catch (const SysError& error) {
                   if (!tells_of_tar(error.errnum())) throw;
                   throw Error(ErrorKind::BadArchive, error.what());
                 }
               });
}

}  // namespace overlayd
