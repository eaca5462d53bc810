// plain-provider is a provider for the Secrets Store CSI Driver that does to a node what AWS's own does:
// it writes plain files into the mount itself (a temporary file, then a rename), deletes whatever stands
// at its socket's path when it starts, and deletes it again when it stops, whosever it is by then.
// The files are those that the class's parameter "plainFiles" says, a JSON object of names and texts.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"google.golang.org/grpc"
	provider "sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

type server struct {
	provider.UnimplementedCSIDriverProviderServer
}

func (server) Version(context.Context, *provider.VersionRequest) (*provider.VersionResponse, error) {
	return &provider.VersionResponse{Version: "v1alpha1", RuntimeName: "plain-provider", RuntimeVersion: "1.0.0"}, nil
}

func (server) Mount(_ context.Context, request *provider.MountRequest) (*provider.MountResponse, error) {
	var attributes, files map[string]string
	if err := json.Unmarshal([]byte(request.GetAttributes()), &attributes); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(attributes["plainFiles"]), &files); err != nil {
		return nil, err
	}
	mode, err := strconv.ParseUint(request.GetPermission(), 10, 32)
	if err != nil {
		return nil, err
	}
	response := &provider.MountResponse{}
	for name, text := range files {
		if err := write(filepath.Join(request.GetTargetPath(), name), text, os.FileMode(mode)); err != nil {
			return nil, err
		}
		response.ObjectVersion = append(response.ObjectVersion, &provider.ObjectVersion{Id: name, Version: "1"})
	}
	log.Printf("wrote %d files for %s", len(files), attributes["csi.storage.k8s.io/pod.name"])
	return response, nil
}

func write(path, text string, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.WriteString(text); err != nil {
		return err
	}
	if err := temporary.Chmod(mode); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

func main() {
	socket := flag.String("socket", "/run/secrets-store-csi-providers/aws.sock", "")
	flag.Parse()
	_ = os.Remove(*socket)
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	calls := grpc.NewServer()
	provider.RegisterCSIDriverProviderServer(calls, server{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		_ = os.Remove(*socket)
		os.Exit(0)
	}()
	log.Printf("serving %s", *socket)
	log.Fatal(calls.Serve(listener))
}
