// SPDX-License-Identifier: Apache-2.0
//
// The members that Go's archive/tar finds, for tar-readers.sh; in and out as in list.cc.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
)

func list(archive []byte) string {
	reader := tar.NewReader(bytes.NewReader(archive))
	var out strings.Builder
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			return fmt.Sprintf("error: %q", err)
		}
		size, link, kind := int64(0), "", header.Typeflag
		switch kind {
		case tar.TypeXGlobalHeader: // no member to the engines
			continue
		case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse:
			kind, size = tar.TypeReg, header.Size
			// The sum is of no interest, but what cannot be read is no member.
			if size <= 1<<20 {
				if _, err := io.Copy(io.Discard, reader); err != nil {
					return fmt.Sprintf("error: %q", err)
				}
			}
		case tar.TypeLink, tar.TypeSymlink:
			link = header.Linkname
		}
		fmt.Fprintf(&out, "%d %x %d %x;", kind, header.Name, size, link)
	}
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		var size uint32
		if binary.Read(in, binary.LittleEndian, &size) != nil {
			return
		}
		archive := make([]byte, size)
		if _, err := io.ReadFull(in, archive); err != nil {
			panic(err)
		}
		fmt.Fprintln(out, list(archive))
	}
}
