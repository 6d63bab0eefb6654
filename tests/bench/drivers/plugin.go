// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/docker/docker/daemon/graphdriver"
	"github.com/docker/docker/pkg/idtools"
)

// What a plugin in Go would be: Docker's overlay2 driver behind the plugin protocol, with nothing of its
// own but decoding and encoding.
type goPlugin struct{ driver graphdriver.Driver }

type pluginRequest struct {
	Home, ID, Parent, MountLabel string
	Opts                         []string
	StorageOpt                   map[string]string
	UIDMaps, GIDMaps             []idtools.IDMap
}

func (r pluginRequest) createOpts() *graphdriver.CreateOpts {
	return &graphdriver.CreateOpts{MountLabel: r.MountLabel, StorageOpt: r.StorageOpt}
}

type pluginReply map[string]interface{}

func servePlugin(socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	p := &goPlugin{}
	mux := http.NewServeMux()
	for name, call := range map[string]func(pluginRequest, pluginReply) error{
		"Init":            p.init,
		"Capabilities":    func(pluginRequest, pluginReply) error { return nil },
		"Cleanup":         func(pluginRequest, pluginReply) error { return p.driver.Cleanup() },
		"Create":          p.create,
		"CreateReadWrite": p.createReadWrite,
		"Remove":          func(r pluginRequest, _ pluginReply) error { return p.driver.Remove(r.ID) },
		"Get":             p.get,
		"Put":             func(r pluginRequest, _ pluginReply) error { return p.driver.Put(r.ID) },
		"Exists":          func(r pluginRequest, out pluginReply) error { out["Exists"] = p.driver.Exists(r.ID); return nil },
		"Changes":         p.changes,
		"DiffSize":        p.diffSize,
	} {
		call := call
		mux.HandleFunc("/GraphDriver."+name, func(w http.ResponseWriter, r *http.Request) {
			var request pluginRequest
			reply := pluginReply{}
			err := json.NewDecoder(r.Body).Decode(&request)
			if err == nil {
				err = call(request, reply)
			}
			answer(w, reply, err)
		})
	}
	mux.HandleFunc("/GraphDriver.ApplyDiff", p.applyDiff)
	mux.HandleFunc("/GraphDriver.Diff", p.diff)
	return http.Serve(listener, mux)
}

func answer(w http.ResponseWriter, reply pluginReply, err error) {
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		reply["Err"] = err.Error()
	}
	json.NewEncoder(w).Encode(reply)
}

func (p *goPlugin) init(r pluginRequest, _ pluginReply) (err error) {
	if err := os.MkdirAll(r.Home, 0o711); err != nil {
		return err
	}
	p.driver, err = graphdriver.GetDriver("overlay2", nil,
		graphdriver.Options{Root: r.Home, DriverOptions: r.Opts, UIDMaps: r.UIDMaps, GIDMaps: r.GIDMaps})
	return err
}

func (p *goPlugin) create(r pluginRequest, _ pluginReply) error {
	return p.driver.Create(r.ID, r.Parent, r.createOpts())
}

func (p *goPlugin) createReadWrite(r pluginRequest, _ pluginReply) error {
	return p.driver.CreateReadWrite(r.ID, r.Parent, r.createOpts())
}

func (p *goPlugin) get(r pluginRequest, out pluginReply) error {
	root, err := p.driver.Get(r.ID, r.MountLabel)
	if err == nil {
		out["Dir"] = root.Path()
	}
	return err
}

func (p *goPlugin) changes(r pluginRequest, out pluginReply) (err error) {
	out["Changes"], err = p.driver.Changes(r.ID, r.Parent)
	return err
}

func (p *goPlugin) diffSize(r pluginRequest, out pluginReply) (err error) {
	out["Size"], err = p.driver.DiffSize(r.ID, r.Parent)
	return err
}

func (p *goPlugin) applyDiff(w http.ResponseWriter, r *http.Request) {
	size, err := p.driver.ApplyDiff(r.URL.Query().Get("id"), r.URL.Query().Get("parent"), r.Body)
	answer(w, pluginReply{"Size": size}, err)
}

func (p *goPlugin) diff(w http.ResponseWriter, r *http.Request) {
	var request pluginRequest
	err := json.NewDecoder(r.Body).Decode(&request)
	var stream io.ReadCloser
	if err == nil {
		stream, err = p.driver.Diff(request.ID, request.Parent)
	}
	if err != nil {
		answer(w, pluginReply{}, err)
		return
	}
	defer stream.Close()
	if _, err := io.Copy(w, stream); err != nil {
		panic(http.ErrAbortHandler)
	}
}
