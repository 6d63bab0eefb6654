// SPDX-License-Identifier: Apache-2.0
#include "core/project_quota.h"

// <linux/dqblk_xfs.h> and <linux/quota.h> for the numbers of the kernel; <sys/quota.h> has neither
// projects nor the limits of a next project.
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"
#include "core/filesystem.h"

namespace overlayd {
namespace {

constexpr uint64_t kBlock = 1024;  // of if_dqblk's limits; its usage is in bytes

long quotactl_fd(int fd, unsigned command, ProjectId id, void* argument) {
  return ::syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), id, argument);
}

bool is_there(const char* path) { return ::access(path, F_OK) == 0; }

bool kernel_has_quotactl_fd() {
  return quotactl_fd(-1, Q_XGETQSTAT, 0, nullptr) != -1 || errno != ENOSYS;
}

// For people; what can be done was found out without asking for the name.
std::string advice_for(const std::string& filesystem) {
  if (filesystem == "xfs") {
    if (!is_there("/proc/fs/xfs/xqm")) return "this kernel's xfs has none (CONFIG_XFS_QUOTA)";
    return "mount it with the option 'prjquota', which xfs takes only when it is mounted anew";
  }
  if (filesystem == "extfs") {
    if (!is_there("/proc/sys/fs/quota")) return "this kernel has none (CONFIG_QUOTA)";
    return "ext4 needs the features 'project' and 'quota' (tune2fs -O project,quota, while it is "
           "not mounted), the mount option 'prjquota', and a kernel with CONFIG_QFMT_V2";
  }
  return "of the file systems that layers can lie on, xfs and ext4 can have them";
}

}  // namespace

ProjectMark project_of(int directory) {
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) {
    if (errno == ENOTTY || errno == EOPNOTSUPP) return {};
    throw_errno([] { return "read the project of a directory"; });
  }
  return {.id = attributes.fsx_projid,
          .is_handed_down = (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0};
}

void set_project(int directory, ProjectId id) {
  const auto act = [&] { return "put a directory into project " + std::to_string(id); };
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) throw_errno(act);
  attributes.fsx_projid = id;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(directory, FS_IOC_FSSETXATTR, &attributes) != 0) throw_errno(act);
}

std::optional<std::string> obstacle_to_project_quotas(int fd) {
  if (!kernel_has_quotactl_fd()) {
    return "this kernel lacks quotactl_fd(2) (Linux 5.14, CONFIG_QUOTACTL)";
  }
  const std::string filesystem = filesystem_name(fd);
  const std::string where = "its file system (" + filesystem + ") ";
  fs_quota_stat state{};
  state.qs_version = FS_QSTAT_VERSION;
  if (quotactl_fd(fd, Q_XGETQSTAT, 0, &state) != 0 || (state.qs_flags & FS_QUOTA_PDQ_ACCT) == 0) {
    return where + "has no project quotas switched on: " + advice_for(filesystem);
  }
  if ((state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0) {
    return where +
           "counts for projects but enforces no limits: mount it with the option 'prjquota'";
  }
  // Needs CAP_SYS_ADMIN of the first user namespace, as setting one does.
  if_dqblk quota{};
  if (quotactl_fd(fd, Q_GETQUOTA, 0, &quota) != 0 && errno == EPERM) {
    return "overlayd lacks CAP_SYS_ADMIN, or is in a user namespace";
  }
  return std::nullopt;
}

ProjectUsage usage_of_project(int fd, ProjectId id) {
  if_dqblk quota{};
  if (quotactl_fd(fd, Q_GETQUOTA, id, &quota) != 0) {
    if (errno == ENOENT) return {};
    throw_errno([&] { return "read the quota of project " + std::to_string(id); });
  }
  return {.limits = {.bytes = quota.dqb_bhardlimit * kBlock, .inodes = quota.dqb_ihardlimit},
          .bytes = quota.dqb_curspace,
          .inodes = quota.dqb_curinodes};
}

void limit_project(int fd, ProjectId id, const QuotaLimits& limits) {
  if_dqblk quota{};
  quota.dqb_bhardlimit = limits.bytes / kBlock + (limits.bytes % kBlock != 0 ? 1 : 0);
  quota.dqb_ihardlimit = limits.inodes;
  quota.dqb_valid = QIF_LIMITS;
  if (quotactl_fd(fd, Q_SETQUOTA, id, &quota) != 0) {
    throw_errno([&] { return "limit project " + std::to_string(id); });
  }
}

}  // namespace overlayd
