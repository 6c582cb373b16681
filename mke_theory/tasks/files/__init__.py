"""What every data set needs of files: sound, films, pictures, depth, downloads, a cache."""
