// Package mlog: own stand-in for the one log module of the driver that the
// module proxy does not serve. Only what the driver calls; klog underneath.
package mlog

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
)

type LogFormat string

const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

func Setup() func() { return klog.Flush }

func ValidateAndSetKlogLevelAndFormatGlobally(_ context.Context, level klog.Level, _ LogFormat) error {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	return fs.Set("v", fmt.Sprint(int(level)))
}

func Error(msg string, err error, kv ...any) { klog.ErrorSDepth(1, err, msg, kv...) }

func Fatal(err error) {
	klog.ErrorSDepth(1, err, "fatal")
	klog.Flush()
	os.Exit(1)
}
