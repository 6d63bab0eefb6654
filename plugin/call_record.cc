// SPDX-License-Identifier: Apache-2.0
#include "plugin/call_record.h"

namespace overlayd {

void CallRecord::end(CallEnd how, int status, const Failure* failure) const {
  const auto time = std::chrono::steady_clock::now() - begin_;
  Metrics::count_call(*metrics_, time,
                      failure ? std::optional(failure->kind) : std::optional<ErrorKind>());
  log_->call(failure ? LogLevel::Error : LogLevel::Debug,
             {.endpoint = endpoint_,
              .id = id_,
              .time = time,
              .status = status,
              .end = how,
              .error = failure ? std::string_view(failure->cause) : std::string_view()});
}

}  // namespace overlayd
