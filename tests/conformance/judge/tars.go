// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
)

// A member of a layer tar.
type member struct {
	header  *tar.Header
	content []byte
	fields  map[string]string
}

func (m *member) isWhiteout() bool {
	base := path.Base(m.header.Name)
	return strings.HasPrefix(base, ".wh.") && base != ".wh..wh..opq"
}

func (m *member) isMarker() bool { return strings.HasPrefix(path.Base(m.header.Name), ".wh.") }

// name is the path in the file system.
func (m *member) name() string { return strings.TrimSuffix(m.header.Name, "/") }

func readTar(stream []byte) ([]*member, error) {
	var members []*member
	reader := tar.NewReader(bytes.NewReader(stream))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return members, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		members = append(members, &member{header, content, fieldsOf(header, content)})
	}
}

// Left out: names of users and groups, which Docker 20.10 looks up on the host and 23.0 does not write,
// and in the mode the file's type, which 20.10 writes and 24.0 does not.
func fieldsOf(h *tar.Header, content []byte) map[string]string {
	fields := map[string]string{
		"type":     string(rune(h.Typeflag)),
		"mode":     fmt.Sprintf("%04o", h.Mode&0o7777),
		"uid":      fmt.Sprint(h.Uid),
		"gid":      fmt.Sprint(h.Gid),
		"size":     fmt.Sprint(h.Size),
		"mtime":    timeText(h.ModTime.Unix()),
		"linkname": h.Linkname,
		"device":   fmt.Sprintf("%d:%d", h.Devmajor, h.Devminor),
		"content":  hash(content),
	}
	for key, value := range h.PAXRecords {
		if name := strings.TrimPrefix(key, "SCHILY.xattr."); name != key {
			fields["xattr "+name] = hex.EncodeToString([]byte(value))
		}
	}
	return fields
}

// reencode writes the same members with Go's archive/tar, which engines use: to verify a layer they
// store what is not content and put it together again, and other tools write the same headers.
func reencode(members []*member) ([]byte, error) {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, m := range members {
		h := m.header
		fresh := &tar.Header{
			Format: tar.FormatPAX, Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size,
			Mode: h.Mode, Uid: h.Uid, Gid: h.Gid, Uname: h.Uname, Gname: h.Gname, ModTime: h.ModTime,
			Devmajor: h.Devmajor, Devminor: h.Devminor, PAXRecords: map[string]string{},
		}
		for key, value := range h.PAXRecords {
			if strings.HasPrefix(key, "SCHILY.xattr.") {
				fresh.PAXRecords[key] = value
			}
		}
		if err := writer.WriteHeader(fresh); err != nil {
			return nil, err
		}
		if _, err := writer.Write(m.content); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return out.Bytes(), err
}
