// Package embedded runs the servers that development and the tests need beside the product: a
// PostgreSQL, a broker that speaks the Kafka protocol, and a mail inbox. They listen on 127.0.0.1
// only, know nothing of the product, and must never stand in for the real ones in production
// (D28: `serve` refuses). What is built on them has to pass on a system PostgreSQL and on Apache
// Kafka as well, so nothing here may be relied on beyond those protocols.
package embedded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// loopback is the only address anything in this package listens on.
const loopback = "127.0.0.1"

// logf writes one line for a person to the log of a server; a nil log is silent.
func logf(w io.Writer, format string, args ...any) {
	if w == nil {
		return
	}
	fmt.Fprintf(w, "embedded: "+format+"\n", args...)
}

// writeDurably puts data at path so that after a crash the file is either whole or absent.
func writeDurably(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename inside dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
