package main

import (
	"os"
	"runtime"
)

func main() {
	// What the watcher starts is killed when the thread that started it ends,
	// so the main goroutine keeps its thread for as long as the program runs.
	runtime.LockOSThread()
	switch {
	case os.Getpid() == 1 && os.Getenv(initMark) != "":
		runInit()
	case os.Getenv(watchMark) != "":
		os.Exit(runWatcher(os.Getenv(watchMark)))
	default:
		os.Exit(runHost(os.Args[1:], os.Stdout, os.Stderr))
	}
}
