module ostor

go 1.26
