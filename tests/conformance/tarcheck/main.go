// SPDX-License-Identifier: Apache-2.0
//
// The Go half of tar-headers.sh: what archive/tar, with which engines write and read layers, makes of
// the cases that tarcheck.cc thought of.
//
//	main write LIST HEADERS REFUSED   encode the entries of LIST, one a line
//	main read CORPUS SEEN             read every archive in CORPUS; fail where tarcheck.cc saw another thing
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "tarcheck:", err)
		os.Exit(1)
	}
}

func text(field string) string {
	bytes, err := hex.DecodeString(strings.TrimPrefix(field, "x"))
	check(err)
	return string(bytes)
}

func number(field string) int64 {
	value, err := strconv.ParseInt(field, 10, 64)
	check(err)
	return value
}

// TYPE MODE UID GID SIZE SECONDS NANOSECONDS MAJOR MINOR xNAME xLINK {xKEY xVALUE}
func parse(line string) *tar.Header {
	fields := strings.Fields(line)
	header := &tar.Header{
		Format:   tar.FormatPAX,
		Typeflag: fields[0][0],
		Mode:     number(fields[1]),
		Uid:      int(number(fields[2])),
		Gid:      int(number(fields[3])),
		Size:     number(fields[4]),
		ModTime:  time.Unix(number(fields[5]), number(fields[6])),
		Devmajor: number(fields[7]),
		Devminor: number(fields[8]),
		Name:     text(fields[9]),
		Linkname: text(fields[10]),
	}
	for pairs := fields[11:]; len(pairs) > 0; pairs = pairs[2:] {
		if header.PAXRecords == nil {
			header.PAXRecords = map[string]string{}
		}
		header.PAXRecords["SCHILY.xattr."+text(pairs[0])] = text(pairs[1])
	}
	return header
}

func write(list, headers, refused string) {
	in, err := os.Open(list)
	check(err)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	var out, errs, whole bytes.Buffer
	archive := tar.NewWriter(&whole)
	for n := 0; lines.Scan(); n++ {
		header := parse(lines.Text())
		one := tar.NewWriter(&out)
		if err := one.WriteHeader(header); err != nil {
			fmt.Fprintln(&errs, n)
			continue
		}
		if header.Typeflag != tar.TypeReg {
			header.Size = 0
		}
		if header.Size > 4096 {
			continue
		}
		check(archive.WriteHeader(header))
		_, err := archive.Write(bytes.Repeat([]byte{byte(n)}, int(header.Size)))
		check(err)
	}
	check(lines.Err())
	check(archive.Close())
	check(os.WriteFile(headers, append(out.Bytes(), whole.Bytes()...), 0o644))
	check(os.WriteFile(refused, errs.Bytes(), 0o644))
}

// The archive as tarcheck.cc describes what it saw, or "error".
func describe(archive []byte) string {
	reader := tar.NewReader(bytes.NewReader(archive))
	var out strings.Builder
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			return "error"
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		kind := header.Typeflag
		if kind == tar.TypeGNUSparse {
			kind = tar.TypeReg
		}
		link, major, minor, size := "", int64(0), int64(0), int64(0)
		switch kind {
		case tar.TypeLink, tar.TypeSymlink:
			link = header.Linkname
		case tar.TypeChar, tar.TypeBlock:
			major, minor = header.Devmajor, header.Devminor
		case tar.TypeReg:
			size = header.Size
		}
		hash := fnv.New64a()
		if size <= 1<<20 {
			if _, err := io.Copy(hash, reader); err != nil {
				return "error"
			}
		}
		fmt.Fprintf(&out, "%c %x %o %d %d %d %d.%09d %x %d,%d %016x", kind, header.Name,
			header.Mode&0o7777, header.Uid, header.Gid, size, header.ModTime.Unix(),
			header.ModTime.Nanosecond(), link, major, minor, hash.Sum64())
		var keys []string
		for key := range header.PAXRecords {
			if strings.HasPrefix(key, "SCHILY.xattr.") {
				keys = append(keys, key)
			}
		}
		sort.Strings(keys)
		for _, key := range keys {
			fmt.Fprintf(&out, " %x=%x", strings.TrimPrefix(key, "SCHILY.xattr."), header.PAXRecords[key])
		}
		out.WriteString(";")
	}
}

func read(corpus, seen string) {
	in, err := os.Open(corpus)
	check(err)
	stream := bufio.NewReader(in)
	dump, err := os.Open(seen)
	check(err)
	lines := bufio.NewScanner(dump)
	lines.Buffer(nil, 64<<20)
	archives, accepted, stricter, different := 0, 0, 0, 0
	reasons := map[string]int{}
	for ; lines.Scan(); archives++ {
		var size uint32
		check(binary.Read(stream, binary.LittleEndian, &size))
		archive := make([]byte, size)
		_, err := io.ReadFull(stream, archive)
		check(err)
		ours, theirs := lines.Text(), describe(archive)
		refused := strings.HasPrefix(ours, "error: ")
		switch {
		case refused && theirs != "error":
			stricter++
			reason := ours[strings.LastIndex(ours, ": ")+2:]
			reasons[strings.SplitN(reason, " (", 2)[0]]++
		case ours == theirs:
			accepted++
		case !refused:
			different++
			if different <= 5 {
				check(os.WriteFile(fmt.Sprintf("differs-%d.tar", different), archive, 0o644))
				fmt.Fprintf(os.Stderr, "differs-%d.tar:\nours %s\nGo's %s\n", different, ours, theirs)
			}
		}
	}
	check(lines.Err())
	fmt.Printf("%d archives: %d read alike, %d refused by both, %d refused by us alone\n", archives,
		accepted, archives-accepted-stricter-different, stricter)
	if verbose := os.Getenv("VERBOSE"); verbose != "" {
		for reason, count := range reasons {
			fmt.Printf("%7d %s\n", count, reason)
		}
	}
	if different > 0 {
		check(fmt.Errorf("%d archives read otherwise", different))
	}
	if archives == 0 || accepted < archives/10 {
		check(fmt.Errorf("too few archives to say anything"))
	}
}

func main() {
	switch {
	case len(os.Args) == 5 && os.Args[1] == "write":
		write(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "read":
		read(os.Args[2], os.Args[3])
	default:
		check(fmt.Errorf("bad arguments"))
	}
}
