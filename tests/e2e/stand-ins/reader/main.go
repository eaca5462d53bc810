// reader reads files in a tight loop and prints what it sees whenever that changes:
// "<unix milliseconds> <reads so far> <file> <content or error>". Without -pause there is nothing between
// two reads, so that a moment without a file, or with half of one, is seen if there is one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	pause := flag.Duration("pause", 0, "between two reads")
	flag.Parse()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	seen := map[string]string{}
	for reads := 0; ; reads++ {
		select {
		case <-stop:
			fmt.Printf("%d %d - stopped\n", time.Now().UnixMilli(), reads)
			return
		default:
		}
		for _, path := range flag.Args() {
			if now := read(path); now != seen[path] {
				seen[path] = now
				fmt.Printf("%d %d %s %s\n", time.Now().UnixMilli(), reads, path, now)
			}
		}
		time.Sleep(*pause)
	}
}

func read(path string) string {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "MISSING"
	case err != nil:
		return "ERROR " + err.Error()
	default:
		return fmt.Sprintf("%q", content)
	}
}
