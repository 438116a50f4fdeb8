// Package embedded runs the servers that development and tests need beside the product: a PostgreSQL,
// a broker that speaks the Kafka protocol, and a mail inbox. They listen only on 127.0.0.1, know
// nothing of the product, and must never replace the real ones in production (D28: `serve` refuses
// them). The product must also work with a system's PostgreSQL and with Apache Kafka, so it must
// not rely on anything here beyond those protocols.
package embedded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// loopback is the only address on which anything in this package listens.
const loopback = "127.0.0.1"

// logf writes one line for a person to the log of a server. A nil log discards it.
func logf(w io.Writer, format string, args ...any) {
	if w == nil {
		return
	}
	fmt.Fprintf(w, "embedded: "+format+"\n", args...)
}

// writeDurably writes a file so that after a crash it is either complete or absent.
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

// syncDir makes a rename inside dir survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
