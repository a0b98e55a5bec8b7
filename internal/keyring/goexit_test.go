package keyring_test

import "runtime"

func exitGoroutine() { runtime.Goexit() }
