// csi-sidecar: own stand-in for node-driver-registrar and livenessprobe
// (their modules are not served by the module proxy). Mode by flag:
// --http-endpoint given: liveness probe; else: registrar.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reg "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

var (
	_        = flag.Int("v", 0, "ignored")
	csiAddr  = flag.String("csi-address", "/csi/csi.sock", "")
	regPath  = flag.String("kubelet-registration-path", "", "")
	regDir   = flag.String("plugin-registration-path", "/registration", "")
	httpAddr = flag.String("http-endpoint", "", "")
	probeTO  = flag.Duration("probe-timeout", time.Second, "")
)

type server struct {
	reg.UnimplementedRegistrationServer
	name string
}

func (s *server) GetInfo(context.Context, *reg.InfoRequest) (*reg.PluginInfo, error) {
	return &reg.PluginInfo{Type: reg.CSIPlugin, Name: s.name, Endpoint: *regPath, SupportedVersions: []string{"1.0.0"}}, nil
}

func (s *server) NotifyRegistrationStatus(_ context.Context, st *reg.RegistrationStatus) (*reg.RegistrationStatusResponse, error) {
	log.Printf("registered=%v error=%q", st.PluginRegistered, st.Error)
	if !st.PluginRegistered {
		os.Exit(1)
	}
	return &reg.RegistrationStatusResponse{}, nil
}

func main() {
	flag.Parse()
	conn, err := grpc.NewClient("unix://"+*csiAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	id := csi.NewIdentityClient(conn)
	if *httpAddr != "" {
		http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), *probeTO)
			defer cancel()
			p, err := id.Probe(ctx, &csi.ProbeRequest{})
			if err != nil || (p.GetReady() != nil && !p.GetReady().GetValue()) {
				http.Error(w, "not ready", http.StatusInternalServerError)
				return
			}
			_, _ = w.Write([]byte("ok"))
		})
		log.Fatal(http.ListenAndServe(*httpAddr, nil))
	}
	var name string
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		r, err := id.GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
		cancel()
		if err == nil {
			name = r.GetName()
			break
		}
		if i == 120 {
			log.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	sock := filepath.Join(*regDir, name+"-reg.sock")
	_ = os.Remove(sock)
	l, err := net.Listen("unix", sock)
	if err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	reg.RegisterRegistrationServer(g, &server{name: name})
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	go func() { <-c; _ = os.Remove(sock); os.Exit(0) }()
	log.Printf("serving %s for %s", sock, name)
	log.Fatal(g.Serve(l))
}
