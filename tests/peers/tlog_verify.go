// Checks a ledger's files with the reference implementation of tiled logs, golang.org/x/mod/sumdb.
//
//	tlog_verify <QUESTION
//
// QUESTION is JSON: the directory, the origin, verifier keys, notes that were seen before, and proofs that were made
// elsewhere. Prints one line of JSON; or what is wrong, on standard error, and ends with 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type proof struct {
	// Leaf, or older size.
	Place  int64
	Size   int64
	Hashes []string
}

type question struct {
	Dir         string
	Origin      string
	Keys        []string
	Seen        []string
	Inclusion   []proof
	Consistency []proof
}

type answer struct {
	Size        int64  `json:"size"`
	Root        string `json:"root"`
	Leaves      int64  `json:"leaves"`
	Seen        int    `json:"seen"`
	Inclusion   int    `json:"inclusion"`
	Consistency int    `json:"consistency"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, "question:", err)
		os.Exit(2)
	}
	found, err := verify(asked)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, _ := json.Marshal(found)
	fmt.Println(string(line))
}

// tiles reads the tiles of the directory.
type tiles struct {
	dir  string
	data map[string][]byte
}

func (t *tiles) Height() int { return height }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := t.read(tile, func(data []byte, full bool) ([]byte, error) {
			if full && len(data) == tlog.HashSize<<height {
				data = data[:tile.W*tlog.HashSize]
			}
			return data, nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// path is the file of a tile: the reference names its height first, the standard for logs does not.
func path(tile tlog.Tile) string {
	name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(name, "tile/data/", "tile/entries/", 1)
}

// read gives a tile's data; where a partial one is gone, from the full one.
func (t *tiles) read(tile tlog.Tile, cut func([]byte, bool) ([]byte, error)) ([]byte, error) {
	name := path(tile)
	if data, ok := t.data[name]; ok {
		return data, nil
	}
	data, err := os.ReadFile(filepath.Join(t.dir, name))
	full := tile
	full.W = 1 << height
	if os.IsNotExist(err) && tile.W != full.W {
		data, err = os.ReadFile(filepath.Join(t.dir, path(full)))
		if err == nil {
			data, err = cut(data, true)
		}
	} else if err == nil {
		data, err = cut(data, false)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v", name, err)
	}
	t.data[name] = data
	return data, nil
}

// leaves are the entries of a bundle.
func (t *tiles) leaves(tile tlog.Tile) ([][]byte, error) {
	var all [][]byte
	_, err := t.read(tile, func(data []byte, full bool) ([]byte, error) {
		for rest := data; len(rest) > 0; {
			if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
				return nil, fmt.Errorf("the bundle breaks off within leaf %d", len(all))
			}
			length := int(binary.BigEndian.Uint16(rest))
			all = append(all, rest[2:2+length])
			rest = rest[2+length:]
		}
		if full && len(all) == 1<<height {
			all = all[:tile.W]
		}
		if len(all) != tile.W {
			return nil, fmt.Errorf("the bundle holds %d leaves, not %d", len(all), tile.W)
		}
		return data, nil
	})
	return all, err
}

// checkpoint reads a signed checkpoint.
func checkpoint(text, origin string, known note.Verifiers) (tlog.Tree, error) {
	opened, err := note.Open([]byte(text), known)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the signature: %v", err)
	}
	lines := strings.SplitN(opened.Text, "\n", 2)
	if lines[0] != origin {
		return tlog.Tree{}, fmt.Errorf("the origin is %q, not %q", lines[0], origin)
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1]))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the checkpoint: %v", err)
	}
	if opened.Text != fmt.Sprintf("%s\n%d\n%s\n", origin, tree.N, tree.Hash) {
		return tlog.Tree{}, fmt.Errorf("the checkpoint has other lines than three")
	}
	return tree, nil
}

func verify(asked question) (*answer, error) {
	var verifiers []note.Verifier
	for _, key := range asked.Keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("the key %s: %v", key, err)
		}
		verifiers = append(verifiers, verifier)
	}
	known := note.VerifierList(verifiers...)
	text, err := os.ReadFile(filepath.Join(asked.Dir, "checkpoint"))
	if err != nil {
		return nil, err
	}
	head, err := checkpoint(string(text), asked.Origin, known)
	if err != nil {
		return nil, err
	}
	var seen []tlog.Tree
	newest := int64(0)
	for _, text := range asked.Seen {
		tree, err := checkpoint(text, asked.Origin, known)
		if err != nil {
			return nil, fmt.Errorf("a checkpoint seen before: %v", err)
		}
		if tree.N > newest {
			newest = tree.N
		}
		seen = append(seen, tree)
	}
	if newest > head.N {
		return nil, fmt.Errorf("the checkpoint of %d leaves is older than the one of %d seen before", head.N, newest)
	}
	reader := &tiles{asked.Dir, map[string][]byte{}}
	hashes := tlog.TileHashReader(head, reader)
	if err := leaves(head, reader, hashes); err != nil {
		return nil, err
	}
	for _, tree := range seen {
		if err := continues(tree, head, hashes); err != nil {
			return nil, err
		}
	}
	if err := proofs(asked, hashes); err != nil {
		return nil, err
	}
	return &answer{head.N, head.Hash.String(), head.N, len(seen), len(asked.Inclusion), len(asked.Consistency)}, nil
}

// leaves checks every leaf: by the place that it says it has, by the tree that the reference builds from the leaves,
// and by a proof from the tiles. Where the leaves are those that were signed, it is the tiles that are wrong.
func leaves(head tlog.Tree, reader *tiles, hashes tlog.HashReader) error {
	var stored []tlog.Hash
	var known []tlog.Hash
	build := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for first := int64(0); first < head.N; first += 1 << height {
		width := head.N - first
		if width > 1<<height {
			width = 1 << height
		}
		all, err := reader.leaves(tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)})
		if err != nil {
			return err
		}
		for offset, leaf := range all {
			index := first + int64(offset)
			var says struct{ Index int64 }
			if err := json.Unmarshal(leaf, &says); err != nil {
				return fmt.Errorf("leaf %d: %v", index, err)
			}
			if says.Index != index {
				return fmt.Errorf("leaf %d says that it is leaf %d: one was dropped, or the order was changed", index, says.Index)
			}
			more, err := tlog.StoredHashes(index, leaf, build)
			if err != nil {
				return err
			}
			stored = append(stored, more...)
			known = append(known, tlog.RecordHash(leaf))
		}
	}
	root, err := tlog.TreeHash(head.N, build)
	if err != nil {
		return err
	}
	if root == head.Hash {
		if err := full(head, stored, reader); err != nil {
			return err
		}
	}
	for index, leaf := range known {
		proof, err := tlog.ProveRecord(head.N, int64(index), hashes)
		if err != nil {
			return fmt.Errorf("the tiles above leaf %d: %v", index, err)
		}
		if err := tlog.CheckRecord(proof, head.N, head.Hash, int64(index), leaf); err != nil {
			return fmt.Errorf("leaf %d is not in the tree that was signed: %v", index, err)
		}
	}
	if root != head.Hash {
		return fmt.Errorf("the leaves have the root %s, the checkpoint %s", root, head.Hash)
	}
	return nil
}

// full compares every tile of the log with what the reference makes from the leaves.
func full(head tlog.Tree, stored []tlog.Hash, reader *tiles) error {
	made := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for _, tile := range tlog.NewTiles(height, 0, head.N) {
		// It names every width that the last tile of a level ever had: the last one is of this size.
		last := int(head.N >> (height * tile.L) % (1 << height))
		if tile.W != 1<<height && tile.W != last {
			continue
		}
		want, err := tlog.ReadTileData(tile, made)
		if err != nil {
			return err
		}
		found, err := reader.ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return err
		}
		if string(found[0]) != string(want) {
			return fmt.Errorf("%s is not the tile of the leaves", path(tile))
		}
	}
	return nil
}

func continues(old, head tlog.Tree, hashes tlog.HashReader) error {
	wrong := func(err error) error {
		return fmt.Errorf("the log does not continue the checkpoint of %d leaves seen before: %v", old.N, err)
	}
	if old.N == head.N {
		if old.Hash != head.Hash {
			return wrong(fmt.Errorf("another root"))
		}
		return nil
	}
	proof, err := tlog.ProveTree(head.N, old.N, hashes)
	if err != nil {
		return wrong(err)
	}
	if err := tlog.CheckTree(proof, head.N, head.Hash, old.N, old.Hash); err != nil {
		return wrong(err)
	}
	return nil
}

// proofs checks proofs that were made elsewhere; the leaves' and roots' hashes are from the tiles.
func proofs(asked question, hashes tlog.HashReader) error {
	for _, made := range asked.Inclusion {
		root, err := tlog.TreeHash(made.Size, hashes)
		if err != nil {
			return err
		}
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, made.Place)})
		if err != nil {
			return err
		}
		given, err := parsed(made.Hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(tlog.RecordProof(given), made.Size, root, made.Place, leaf[0]); err != nil {
			return fmt.Errorf("the inclusion proof of leaf %d in %d: %v", made.Place, made.Size, err)
		}
	}
	for _, made := range asked.Consistency {
		roots := [2]tlog.Hash{}
		for turn, size := range []int64{made.Place, made.Size} {
			root, err := tlog.TreeHash(size, hashes)
			if err != nil {
				return err
			}
			roots[turn] = root
		}
		given, err := parsed(made.Hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(tlog.TreeProof(given), made.Size, roots[1], made.Place, roots[0]); err != nil {
			return fmt.Errorf("the consistency proof of %d and %d: %v", made.Place, made.Size, err)
		}
	}
	return nil
}

func parsed(texts []string) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, text := range texts {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(data) != tlog.HashSize {
			return nil, fmt.Errorf("%q is no hash", text)
		}
		var hash tlog.Hash
		copy(hash[:], data)
		all = append(all, hash)
	}
	return all, nil
}
