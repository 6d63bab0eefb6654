// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// What is being compared.
const (
	inTrees     = "the two merged trees"          // of the histories themselves
	inCopy      = "a merged tree and its copy"    // made from the tar of one side on the other
	inDiff      = "Diff against the parent"       // member by member
	inWholeDiff = "Diff of the whole file system" // member by member
	inApply     = "the outcome of ApplyDiff"
	inSize      = "DiffSize"
	inChanges   = "Changes"
)

// A difference between what Docker says and what overlayd says about one thing.
type difference struct {
	where        string
	path         string // in the file system, or the name in a tar
	field        string
	docker, ours string

	mapped    bool
	tarFrom   string    // the side that wrote the tar that was applied
	appliedBy string    // the side that applied it
	parent    string    // of the tar: "" means the whole file system
	squashed  bool      // the tar is against an older ancestor, or the whole file system
	facts     *tarFacts // when the layer was made from a generated tar
	isDir     bool
	isLink    bool // a hard link's member
	inLowest  bool // the layer has no parent
	blocks    blockDevices
	early     map[string]bool // paths that had a time before 1970
}

func (d *difference) String() string {
	where := d.where
	if d.tarFrom != "" {
		where += fmt.Sprintf(" (%s's tar, applied by %s, squashed: %v)", d.tarFrom, d.appliedBy, d.squashed)
	}
	return fmt.Sprintf("%s: %q, %s: Docker has %s, overlayd has %s", where, d.path, d.field, orAbsent(d.docker), orAbsent(d.ours))
}

func orAbsent(text string) string {
	if text == "" {
		return "(nothing)"
	}
	return text
}

// An improvement is a difference from Docker that is meant. Whatever no improvement explains fails the run.
type improvement struct {
	name string
	// Why overlayd does it, in docs/layers.md.
	reference string
	explains  func(d *difference) bool
	// The trees differ afterwards: nothing more can be compared in this history.
	ends bool
}

const earlyTimes = "times before 1970 are kept"

var improvements = []improvement{
	{
		// Docker gives the inode whatever the link's header says. Such tars are made by hand: both names come
		// from one inode otherwise.
		name: "a hard link has its target's metadata", reference: "ApplyDiff: A hard link's target", ends: true,
		explains: func(d *difference) bool {
			return d.where == inTrees && d.facts != nil && d.facts.otherLink
		},
	},
	{
		// The numbers are the target's, whose own member has them.
		name: "hard links to devices have no device number", reference: "Diff: Hard links",
		explains: func(d *difference) bool {
			return (d.where == inDiff || d.where == inWholeDiff) && d.field == "device" && d.isLink && d.ours == "0:0"
		},
	},
	{
		// Docker sets the times of all directories at the end, of those too that a later member replaced.
		name: "a directory may be replaced in one tar", reference: "ApplyDiff: The last member of a name wins", ends: true,
		explains: func(d *difference) bool {
			return d.where == inApply && d.facts != nil && strings.HasPrefix(d.ours, "applied") && strings.Contains(d.docker, "chtimes") &&
				(strings.HasSuffix(d.docker, "not a directory") || strings.HasSuffix(d.docker, "too many levels of symbolic links") || strings.HasSuffix(d.docker, "no such file or directory"))
		},
	},
	{
		name: "the time of what replaced a directory in one tar", reference: "ApplyDiff: The last member of a name wins", ends: true,
		explains: func(d *difference) bool {
			return d.where != inCopy && d.field == "mtime" && d.facts != nil && d.facts.dirReplaced
		},
	},
	{
		// Docker tells directories by a bit that block devices have too. It does not look at their times, and
		// where one took the place of a directory it lists what was in there as deleted.
		name: "block devices are not directories", reference: "Changes",
		explains: func(d *difference) bool {
			switch d.where {
			case inChanges:
				return d.blocks.has(d.path) && (d.docker == "" && d.ours == "C" || d.docker == "D" && d.ours == "")
			case inCopy:
				return d.blocks[d.path] == "block" && d.field == "mtime" && d.squashed && d.tarFrom == "Docker"
			case inApply:
				return d.tarFrom == "Docker" && d.squashed && strings.HasSuffix(strings.ToLower(d.ours), "not a directory") && d.blocks.hasQuotedParent(d.ours)
			}
			return false
		},
	},
	{
		// The directory below is meant: in Docker an upload into /tmp makes it root's and 0755. Where there is
		// none, both make it 0755, though in Docker it inherits a set-gid bit.
		name: "implied parents look as they did", reference: "ApplyDiff: A parent directory without a member", ends: true,
		explains: func(d *difference) bool {
			if d.where != inTrees || d.facts == nil || !d.facts.implied[d.path] {
				return false
			}
			// Not where the tar itself hides what is below.
			if below := d.facts.below[d.path]; below != nil && below.isDir() && d.ours == below.fields[d.field] {
				return true
			}
			return d.field == "mode" && d.docker == "2755" && d.ours == "0755" || d.field == "gid"
		},
	},
	{
		// Docker does not compare the times of directories: one that changed nothing else is not in its tar.
		name: "times of directories survive squashing", reference: "Diff: Against an older ancestor",
		explains: func(d *difference) bool {
			return d.where == inCopy && d.squashed && d.tarFrom == "Docker" && d.isDir && d.field == "mtime"
		},
	},
	{
		// A whiteout of nothing, in a tar, makes overlayfs list a name that is not there. A squashed tar has
		// whiteouts only of what its ancestor has.
		name: "whiteouts of nothing do not survive squashing", reference: "Diff: Against an older ancestor",
		explains: func(d *difference) bool {
			const absent = "listed but absent"
			return d.where == inCopy && d.squashed && d.field == "type" && (d.docker == absent && d.ours == "" || d.docker == "" && d.ours == absent)
		},
	},
	{
		name: "whiteouts in a lowest layer are no change", reference: "Whiteouts",
		explains: func(d *difference) bool {
			return d.where == inChanges && d.inLowest && d.facts != nil && d.facts.whiteouts[strings.TrimPrefix(d.path, "/")] && d.docker == "A" && d.ours == ""
		},
	},
	{
		// 20.10 to 29 write security.capability only; what programs put on files is lost in every commit.
		name: "user xattrs and ACLs are kept", reference: "Diff: Extended attributes",
		explains: func(d *difference) bool {
			name := strings.TrimPrefix(d.field, "xattr ")
			if !isExtra(name) || name == d.field {
				return false
			}
			return (d.where == inDiff || d.where == inWholeDiff) && d.docker == "" ||
				d.where == inCopy && d.tarFrom == "Docker" && d.appliedBy == "overlayd" && (d.ours == "" || d.squashed)
		},
	},
	{
		// Kernels since 5.8 make all whiteouts of a mount hard links of one inode, and Docker looks for
		// hard links before whiteouts.
		name: "whiteouts have no link name", reference: "Diff: Hard links",
		explains: func(d *difference) bool {
			return d.where == inDiff && d.field == "linkname" && isWhiteoutName(d.path) && d.ours == ""
		},
	},
	{
		// Docker passes a container's ids through the map when it makes the device, but not on the way back.
		name: "owners of whiteouts go through the id map", reference: "Diff: Differences from Docker's own driver",
		explains: func(d *difference) bool {
			return d.mapped && d.where == inDiff && (d.field == "uid" || d.field == "gid") && isWhiteoutName(d.path)
		},
	},
	{
		// Docker's whiteouts have the time of their extraction.
		name: "whiteouts keep their time", reference: "ApplyDiff: Owner, then xattrs, then mode, then times",
		explains: func(d *difference) bool {
			return d.where == inDiff && d.field == "mtime" && isWhiteoutName(d.path) && d.facts != nil && d.docker == clock
		},
	},
	{
		// Docker's naive differ, which it uses without a parent, was not given the maps.
		name: "whole file systems go through the id map", reference: "Diff: Owners: through the id map",
		explains: func(d *difference) bool {
			return d.mapped && d.where == inWholeDiff && (d.field == "uid" || d.field == "gid") && hostIDOf(d.ours) == d.docker
		},
	},
	{
		// Its own tars of whole file systems have host ids, which are outside the map.
		name: "Docker's whole file systems with host ids are refused", reference: "ApplyDiff: Refused: owners outside the id map",
		explains: func(d *difference) bool {
			return d.mapped && d.where == inApply && d.tarFrom == "Docker" && d.parent == "" && strings.Contains(d.ours, "outside the store's id map")
		},
	},
	{
		// A capability of revision 2 on disk is good in the initial user namespace: root's of the host, not
		// of the container.
		name: "capabilities belong to the container's root", reference: "Diff: Extended attributes",
		explains: func(d *difference) bool {
			return d.mapped && (d.where == inCopy || d.where == inTrees) && d.field == "xattr security.capability" &&
				capabilityBits(d.docker) != "" && capabilityBits(d.docker) == capabilityBits(d.ours)
		},
	},
	{
		// Docker raises everything before 1970 to 1970, and may then see no change to a time soon after.
		name: earlyTimes, reference: "ApplyDiff: Owner, then xattrs, then mode, then times",
		explains: func(d *difference) bool {
			return d.field == "mtime" && d.docker == "0" && strings.HasPrefix(d.ours, "-") ||
				d.where == inChanges && d.early[d.path] && d.docker == "" && d.ours == "C"
		},
	},
	{
		// Docker's driver hands out the lowest layer without mounting it.
		name: "whiteouts in a lowest layer are not shown", reference: "Whiteouts",
		explains: func(d *difference) bool {
			return (d.where == inTrees || d.where == inCopy) && d.field == "type" && d.docker == "whiteout" && d.ours == ""
		},
	},
	{
		// Docker makes the device while the object is there: file exists, and the layer fails.
		name: "a whiteout after an object of its name", reference: "ApplyDiff: whiteouts in the same tar", ends: true,
		explains: func(d *difference) bool {
			return d.where == inApply && d.facts != nil && len(d.facts.whiteoutOnName) > 0 && strings.Contains(d.docker, "S_IFCHR") && strings.HasPrefix(d.ours, "applied")
		},
	},
	{
		// In Docker the old content comes back.
		name: "a directory after its whiteout is opaque", reference: "ApplyDiff: A directory made where the same tar had a whiteout", ends: true,
		explains: func(d *difference) bool {
			return d.where == inTrees && d.facts != nil && d.facts.madeAnew(d.path) && d.field == "type" && d.ours == ""
		},
	},
	{
		// To Docker the whiteout's device is in the way.
		name: "an implied directory after its whiteout", reference: "ApplyDiff: A directory made where the same tar had a whiteout", ends: true,
		explains: func(d *difference) bool {
			return d.where == inApply && d.facts != nil && d.facts.impliedOnWhiteout && strings.HasSuffix(d.docker, "not a directory") && strings.HasPrefix(d.ours, "applied")
		},
	},
	{
		name: "the opaque marker of such a directory", reference: "ApplyDiff: A directory made where the same tar had a whiteout", ends: true,
		explains: func(d *difference) bool {
			return d.where == inDiff && d.facts != nil && path.Base(d.path) == ".wh..wh..opq" && d.facts.dirOnWhiteout[path.Dir(d.path)] && d.docker == ""
		},
	},
	{
		// overlayfs lists whiteouts in directories that it does not merge, though it finds no such file.
		name: "whiteouts in opaque directories are dropped", reference: "ApplyDiff: opaque directories", ends: true,
		explains: func(d *difference) bool {
			return d.facts != nil && d.ours == "" &&
				(d.where == inDiff && isWhiteoutName(d.path) && (d.facts.uselessInside[blackedOut(d.path)] || d.facts.madeAnew(blackedOut(d.path))) ||
					d.where == inTrees && d.docker == "listed but absent" && d.facts.uselessInside[d.path])
		},
	},
	{
		// Docker compares names one by one: one whose own inode did not change is left out, and the other
		// names come as a file of their own.
		name: "hard links of an unchanged name are kept", reference: "Diff: Hard links",
		explains: func(d *difference) bool {
			return d.where == inCopy && d.squashed && d.tarFrom == "Docker" && d.field == "links"
		},
	},
	{
		// Docker applies a default ACL when it makes the directory, and then everything made in it inherits. It
		// does not map the ids in them.
		name: "extraction is not disturbed by inherited ACLs", reference: "ApplyDiff: Owner, then xattrs, then mode, then times",
		explains: func(d *difference) bool {
			return d.where == inCopy && d.appliedBy == "Docker" && strings.HasPrefix(d.field, "xattr system.posix_acl_") &&
				d.docker != "" && (d.ours == "" || d.mapped)
		},
	},
}

func isWhiteoutName(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, ".wh.") && base != ".wh..wh..opq"
}

// blackedOut is the path that a whiteout deletes.
func blackedOut(name string) string {
	return path.Join(path.Dir(name), strings.TrimPrefix(path.Base(name), ".wh."))
}

// hostIDOf a container's id, both in decimal.
func hostIDOf(id string) string {
	var number int
	fmt.Sscan(id, &number)
	return fmt.Sprint(number + mapBase)
}

// capabilityBits of a hexadecimal xattr value, without its revision and the owner that revision 3 has.
func capabilityBits(value string) string {
	if len(value) != 40 && len(value) != 48 {
		return ""
	}
	return value[8:40]
}

// madeAnew: in a directory that the tar makes anew after deleting it.
func (f *tarFacts) madeAnew(at string) bool {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if f.dirOnWhiteout[dir] {
			return true
		}
	}
	return false
}

// blockDevices of a tree, with the directories above them: from path to "block" or "dir".
type blockDevices map[string]string

func (t tree) blockDevices() blockDevices {
	found := blockDevices{}
	for at, n := range t {
		if n.fields["type"] != "block" {
			continue
		}
		found[at] = "block"
		for at = path.Dir(at); at != "."; at = path.Dir(at) {
			found[at] = "dir"
		}
	}
	return found
}

// has: the path, as Changes has it, is a block device, above one, or was below one.
func (b blockDevices) has(changed string) bool {
	for at, kind := range b {
		at = asJSON("/" + at)
		if at == changed || kind == "block" && strings.HasPrefix(changed, at+"/") {
			return true
		}
	}
	return false
}

// hasQuotedParent: an error ends with opening a directory that is a block device.
func (b blockDevices) hasQuotedParent(text string) bool {
	for at, kind := range b {
		if kind == "block" && strings.Contains(text, "entry '"+escaped(at)+"/.wh.") {
			return true
		}
	}
	return false
}

// escaped: a path as overlayd's messages show it.
func escaped(path string) string {
	var out strings.Builder
	for at := 0; at < len(path); {
		r, size := utf8.DecodeRuneInString(path[at:])
		if r == utf8.RuneError && size == 1 || r < ' ' || r == 0x7f {
			fmt.Fprintf(&out, "\\x%02x", path[at])
		} else {
			out.WriteString(path[at : at+size])
		}
		at += size
	}
	return out.String()
}
